"""The weight-initialisation notebook in JAX: Flax NNX for the model, Optax for Adam, one scan per epoch."""
