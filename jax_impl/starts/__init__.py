"""Initialisers that look at training images."""
