"""The weight-initialisation notebook in PyTorch, as a package: the reference that the port is held against."""
