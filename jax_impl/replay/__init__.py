"""PyTorch's random numbers without PyTorch, in NumPy.

    generator    `TorchGenerator`: what torch draws on a CPU, in torch's order
    init         the functions of torch.nn.init
    modules      the tensors that a module or a network has after torch.manual_seed
    loaders      the order in which samplers and DataLoader visit a data set
    cuda         `CudaGenerator`: what torch draws on a CUDA device
    notebook     the draws of this project's notebook

The generator is built of mersenne (its words and its state), normals, permutations, mkl and discrete; arguments and
rounding are what they share. docs/same-draws.md says how close each draw is to torch's.
"""
