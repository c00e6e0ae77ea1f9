"""What every test relies on: strict JAX, the real MNIST, and the tiers.

A test without the marker `slow` belongs to the fast tier (`make test`) and may use `LIMIT` seconds of processor time.
`make test-slow` runs the others.
"""

import os
from collections.abc import Iterator
from pathlib import Path

# Tests compare CPUs, also on a machine with an accelerator. The loopback mirror is not behind a proxy.
os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
os.environ["MNIST_STATUS_SECONDS"] = (
    "0"  # on a busy machine, lines about slow work would be among those that tests compare
)
# NumPy's threads would wait for those of the other test processes. Workers inherit this before they import NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Test processes share compiled programs. The cache's key is the program itself, so a changed program is compiled again.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_COMPILATION_CACHE_MAX_SIZE": "-1",  # no eviction: it would need bookkeeping by every process
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}

import gc
import signal

import hypothesis
import jax
import pytest

from jax_impl import data
from jax_impl.fetch import folder, sources

jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples in every run: a change fails for what it changed, not by chance. For a new fault,
# `pytest --hypothesis-profile default` draws other examples.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")

# The fast tier leaves out LLVM's optimization: a third of the time of tests that compile much. The slow tier has it.
NOT_OPTIMIZED = "--xla_backend_optimization_level=0"
LIMIT = 90.0  # seconds of processor time, of a fast test and of its fixtures: a busy core counts twice as many


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "not slow":
        os.environ["XLA_FLAGS"] = f"{NOT_OPTIMIZED} {os.environ.get('XLA_FLAGS', '')}".rstrip()
    # A shell starts its background jobs without Ctrl-C. Tests send it nevertheless.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def processor_seconds() -> float:
    """Return the seconds that this process and its finished children have computed: not what others delayed."""
    return sum(os.times()[:4])


def within_limit(item: pytest.Item, phase: str) -> Iterator[None]:
    """Fail a test of the fast tier that computes too long, so that none becomes slow unnoticed."""
    before = processor_seconds()
    result = yield
    used = processor_seconds() - before
    if used > LIMIT and "slow" not in item.keywords and "FAULTS_EXAMPLES" not in os.environ:  # then they are many more
        pytest.fail(f"{phase} took {used:.0f} s of processor time: shrink it to {LIMIT:g} s, or mark it slow")
    return result


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look through all of it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from within_limit(item, "setup"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from within_limit(item, "the test"))


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the tests' own, which shares the verified files with the usual one."""
    source = data.raw_folder()
    folder.ensure(None, sources=sources.default(), log=print)
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
