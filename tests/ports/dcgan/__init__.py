"""The generator of a DCGAN: torch's transposed convolutions and their port to Flax Linen."""
