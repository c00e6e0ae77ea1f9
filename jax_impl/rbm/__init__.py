"""Restricted Boltzmann machines, and the deep belief network that is stacked from them."""
