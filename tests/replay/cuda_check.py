"""What torch draws on a CUDA device, written to a file that a replay without torch can be compared with.

    python -m tests.replay.cuda_check FILE.safetensors

A case is an expression, a size n and a seed. The file holds its values: all of them, or those that `sampled` chooses.
The file's metadata holds the SHA-256 of all values, the state of the generator afterwards (torch's 16 bytes: seed and
offset), and the device, whose number of multiprocessors decides how many threads draw.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

SIZES = (1, 2, 3, 4, 5, 17, 1_000)
LARGE = (60_000, 3_000_001)  # the second is more than one pass of a grid of 132 multiprocessors
SEEDS = (42, 2**40 + 7)  # the second at one size only
WHOLE = 1_000  # values, up to which all are kept
SAMPLED = 256  # values that are kept of more
EXPRESSIONS = (
    *(f"torch.rand(n, dtype=torch.{dtype})" for dtype in ("float32", "float64", "float16", "bfloat16")),
    *(f"torch.randn(n, dtype=torch.{dtype})" for dtype in ("float32", "float64", "float16", "bfloat16")),
    "torch.empty(n).uniform_(-0.5, 0.25)",
    "torch.empty(n).normal_(1.0, 2.0)",
    "torch.empty(n, 3).t().uniform_()",
    "torch.empty(n, 3).t().normal_()",
    "torch.cat([torch.rand(5), torch.randn(n), torch.rand(3)])",
    "torch.randint(0, 10, (n,))",
    "torch.randint(0, 2**28 + 1, (n,))",
    "torch.randint(-5, 2**40, (n,))",
    "torch.empty(n, dtype=torch.int64).random_()",
    "torch.empty(n, dtype=torch.int32).random_()",
    "torch.empty(n, dtype=torch.float32).random_()",
    "torch.randperm(n)",
    "torch.bernoulli(torch.full((n,), 0.3))",
    "torch.empty(n).bernoulli_(0.9)",
    "torch.empty(n, dtype=torch.float64).bernoulli_(0.9)",
    "torch.nn.functional.dropout(torch.ones(n), 0.1)",
    "torch.nn.functional.dropout(torch.ones(n, dtype=torch.float64), 0.5)",
    "torch.nn.functional.dropout(torch.ones(n, dtype=torch.float16), 0.5)",
    "torch.nn.functional.dropout(torch.ones(n, 3).t(), 0.25)",
    "torch.nn.functional.dropout1d(torch.ones(n, 3), 0.25)",
    "torch.nn.functional.alpha_dropout(torch.ones(n), 0.25)",
    "torch.empty(n).exponential_()",
    "torch.empty(n, dtype=torch.float64).exponential_(2.0)",
    "torch.empty(n).geometric_(0.2)",
    "torch.empty(n).log_normal_()",
    "torch.empty(n).cauchy_()",
    "torch.nn.init.trunc_normal_(torch.empty(n))",
    "torch.nn.init.kaiming_normal_(torch.empty(n, 3))",
    "torch.nn.Linear(n, 3).weight.detach()",
    "torch.multinomial(torch.arange(1.0, 101.0), n, replacement=True)",
    "torch.multinomial(torch.arange(1.0, n + 1.0), (n + 1) // 2)",
)


def sampled(values: torch.Tensor) -> torch.Tensor:
    """Return the flat values that the file keeps: all, or those at i · 2654435761 modulo their number, i < 256."""
    values = values.flatten()
    if len(values) <= WHOLE:
        return values
    return values[torch.arange(SAMPLED, device=values.device) * 2_654_435_761 % len(values)]


def cases() -> Iterator[tuple[str, int, int]]:
    """Yield expressions, sizes and seeds."""
    for expression in EXPRESSIONS:
        for n in (*SIZES, *LARGE):
            yield expression, n, SEEDS[0]
        yield expression, SIZES[-1], SEEDS[1]


def draw(expression: str, n: int, seed: int) -> torch.Tensor:
    """Return what the expression draws after `torch.manual_seed(seed)` on the default device."""
    torch.manual_seed(seed)
    return eval(expression, {"torch": torch, "n": n})  # one of EXPRESSIONS


def recorded() -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Return the kept values by the number of their case, and what the metadata says of every case."""
    tensors, found = {}, []
    for number, (expression, n, seed) in enumerate(cases()):
        case: dict[str, Any] = {"expression": expression, "n": n, "seed": seed}
        found.append(case)
        try:
            values = draw(expression, n, seed)
        except RuntimeError as error:  # torch refuses some sizes: 2^24 categories, say
            case["refused"] = str(error).splitlines()[0]
            continue
        case["sha256"] = hashlib.sha256(values.flatten().cpu().view(torch.uint8).numpy().tobytes()).hexdigest()
        case["state"] = bytes(torch.cuda.get_rng_state().tolist()).hex()
        case["shape"] = list(values.shape)
        tensors[str(number)] = sampled(values).cpu().contiguous()
    return tensors, found


def main(path: Path) -> int:
    """Write the file; return the exit status."""
    if not torch.cuda.is_available():
        print("error: torch finds no CUDA device here", file=sys.stderr)
        return 1
    torch.set_default_device("cuda")
    gpu = torch.cuda.get_device_properties(0)
    tensors, found = recorded()
    device = {
        "name": gpu.name,
        "multiprocessors": gpu.multi_processor_count,
        "threads of a multiprocessor": gpu.max_threads_per_multi_processor,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    save_file(tensors, path, metadata={"device": json.dumps(device), "cases": json.dumps(found)})
    refused = [case for case in found if "refused" in case]
    print(f"{len(found)} cases on {gpu.name}, {len(refused)} refused, written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
