"""The same training for many runs, on many devices, and resumed."""
