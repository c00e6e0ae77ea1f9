"""The optimizer alone: its rule, what ports do in its place, and the search for it."""
