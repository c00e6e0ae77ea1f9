"""Published results that a study reproduces."""
