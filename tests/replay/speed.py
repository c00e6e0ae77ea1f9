"""How long the replay takes, beside torch: `python -m tests.replay.speed`. Both use one thread, in turns."""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torchvision

from jax_impl.replay.generator import TorchGenerator
from tests.replay.networks import resnet18

N, ROUNDS = 10**6, 9
GENERATOR = TorchGenerator(0)
PROBABILITIES = np.full(N, 0.3, np.float32)
DRAWS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "uniform, float32": (lambda: GENERATOR.uniform(N, -0.3, 0.1), lambda: torch.empty(N).uniform_(-0.3, 0.1)),
    "uniform, float64": (lambda: GENERATOR.uniform(N, -0.3, 0.1, np.float64),
                         lambda: torch.empty(N, dtype=torch.float64).uniform_(-0.3, 0.1)),
    "normal, float32": (lambda: GENERATOR.normal(N), lambda: torch.empty(N).normal_()),
    "normal, float64": (lambda: GENERATOR.normal(N, dtype=np.float64),
                        lambda: torch.empty(N, dtype=torch.float64).normal_()),
    "bernoulli with a number": (lambda: GENERATOR.bernoulli(0.3, N), lambda: torch.empty(N).bernoulli_(0.3)),
    "bernoulli with an array": (lambda: GENERATOR.bernoulli(PROBABILITIES),
                                lambda: torch.bernoulli(torch.from_numpy(PROBABILITIES))),
    "exponential": (lambda: GENERATOR.exponential(N), lambda: torch.empty(N).exponential_()),
    "randint": (lambda: GENERATOR.randint(0, 10, N), lambda: torch.randint(0, 10, (N,))),
    "randperm": (lambda: GENERATOR.randperm(N), lambda: torch.randperm(N)),
}  # fmt: skip


def seconds(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def main() -> None:
    torch.set_num_threads(1)
    print(f"{N:,} numbers, one thread, median of {ROUNDS} rounds in turns\n")
    print("| draw | replay, ms | torch, ms | ratio (lowest to highest) |\n|---|---|---|---|")
    for name, pair in DRAWS.items():
        for function in pair:
            function()
        rounds = [[seconds(function) for function in pair] for _ in range(ROUNDS)]
        ours, theirs = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = sorted(a / b for a, b in rounds)
        middle = statistics.median(ratios)
        print(f"| {name} | {ours:.1f} | {theirs:.1f} | {middle:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) |")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours, theirs = [], []
    for seed in range(3):
        ours.append(seconds(lambda seed=seed: resnet18.tensors(seed)))  # type: ignore[misc]
        theirs.append(seconds(torchvision.models.resnet18))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = f"{statistics.median(ours):.2f} s, torch {statistics.median(theirs):.2f} s"
    print(f"\nresnet18, 11.7 million parameters: {took}; memory grew by {(after - before) / 1024:.0f} MB in six builds")


if __name__ == "__main__":
    main()
