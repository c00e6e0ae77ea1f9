"""The interactive page on initialisation: its settings, short trainings at each of them, and the page itself."""
