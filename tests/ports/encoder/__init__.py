"""torch's TransformerEncoder and its ports to Flax NNX and to Equinox."""
