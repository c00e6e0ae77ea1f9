"""The initial weights of whole networks without torch: the pattern to copy. docs/same-draws.md explains it."""
