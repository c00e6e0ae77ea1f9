"""The options of every command, without what the commands run: nothing here imports JAX."""
