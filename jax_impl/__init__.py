"""The weight-initialisation notebook in JAX: Flax NNX for the network, Optax for Adam, one jitted scan per epoch.

The files of this folder are the port. Read them in this order: `recipes` (the settings of a run), `data` (MNIST),
`activations` and `initializers` (torch's names and distributions), `model` (the network), `draws` (a run's randomness),
`train` (the training loop, `fit`), `interop` (parameters in torch's layout), `errors`.

The packages `trainer`, `rbm`, `starts`, `study`, `explore` and `commands` wrap the port; the others serve it:

    replay     PyTorch's random numbers in NumPy
    compare    comparisons of arrays, curves and samples: a measured number and a verdict
    parity     two programs' records compared: is a port faithful?
    trainer    the same training for many runs, on many devices, and resumed
    rbm        restricted Boltzmann machines and the deep belief network
    starts     where a run starts: replayed draws, LSUV, a pretrained network
    study      grids of initialisers, theory, published results (`study.presets`), and their page
    explore    short trainings from every start, and the interactive page of their results
    storage    atomic files, tensors with checksums, records, checkpoints
    fetch      where MNIST comes from
    figures    what several pictures share
    commands   the command line
"""
