"""What every test stands on: strict JAX, and the real MNIST."""

from pathlib import Path

import jax
import pytest

from jax_impl import data, sources

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
