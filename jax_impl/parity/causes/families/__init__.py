"""Families of causes, by the kind of case that they explain."""
