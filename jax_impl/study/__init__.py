"""Grids of initialisers: cells, propagation, theory, verdicts and the page that shows them."""
