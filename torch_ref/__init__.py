"""The weight-initialisation notebook in PyTorch, made importable: the reference that the JAX port is tested against.

Read it in the notebook's order: `recipes` (the settings), `data` and `loaders` (MNIST and its batches), `model` (the
layers and their initial weights), `train` (the training loop). `rbm` and `dbn` hold the notebook's first half, the
restricted Boltzmann machine and the deep belief network. `propagation` measures signals and gradients layer by layer.
`__main__`, `cli`, `commands`, `runs` and `plot` are the command line and the files that it writes.
"""
