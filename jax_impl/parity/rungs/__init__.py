"""The rungs of the ladder: each takes the two records and returns its checks."""
