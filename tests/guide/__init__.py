"""The guide to initialisation: its numbers (docs/study/numbers.json) and its notebook."""
