"""Where MNIST comes from: the official mirror, or a wheel on the package index."""
