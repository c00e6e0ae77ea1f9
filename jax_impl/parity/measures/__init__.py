"""How far two arrays may differ, how far they do, what they have in common, and in which order calls are made."""
