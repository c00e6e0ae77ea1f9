"""Causes in modules that read sequences: attention and recurrent networks."""
