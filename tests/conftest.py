"""What every test stands on: strict JAX, and the real MNIST."""

import os
from pathlib import Path

# On a machine with an accelerator, too, the tests compare the CPUs; and the loopback mirror is not behind a proxy.
os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

import jax
import pytest

from jax_impl import data
from jax_impl.fetch import sources

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the tests' own, which shares the verified files with the usual one."""
    source = data.raw_folder()
    data.ensure(sources=sources.default())
    root = tmp_path_factory.mktemp("MNIST_data")
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name in data.SHA256:
        (root / "MNIST" / "raw" / name).symlink_to((source / name).resolve())
    return root


@pytest.fixture(scope="session")
def mnist(mnist_dir: Path) -> data.Mnist:
    return data.load(mnist_dir)


@pytest.fixture(scope="session")
def small(mnist: data.Mnist) -> data.Mnist:
    """The first 1,000 training and 500 test images."""
    return data.Mnist(
        mnist.train_images[:1000], mnist.train_labels[:1000], mnist.test_images[:500], mnist.test_labels[:500]
    )
