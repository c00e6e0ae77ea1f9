"""A bidirectional LSTM over words, ported to plain functions, and a GRU, which torch computes in its own way."""
