"""What several commands share: printing, progress, stopping, several processes, and JAX's compiled programs."""
