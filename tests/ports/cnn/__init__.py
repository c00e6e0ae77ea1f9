"""A CNN for small images, as in PyTorch's MNIST example: torch in NCHW, Flax NNX in NHWC."""
