"""Layers of a network: what torch's modules and functions compute."""
