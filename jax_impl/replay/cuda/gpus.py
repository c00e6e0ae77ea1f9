"""The launch grid: how many threads of a GPU draw a tensor. It decides which thread draws which number."""

from dataclasses import dataclass

BLOCK = 256  # threads of a block


@dataclass(frozen=True)
class Gpu:
    """A GPU, as `torch.cuda.get_device_properties` describes it.

    Attributes:
        multiprocessors: `multi_processor_count`.
        threads: `max_threads_per_multi_processor`.
    """

    multiprocessors: int
    threads: int

    def grid(self, n: int) -> int:
        """Return how many threads draw n numbers (`calc_execution_policy`)."""
        return min(self.multiprocessors * (self.threads // BLOCK), -(-n // BLOCK)) * BLOCK


# By compute capability, 7.5 has 1,024 threads, 8.6 and 8.9 have 1,536, and the others 2,048. Only the H200's grid was
# compared with a device.
GPUS = {
    "T4": Gpu(40, 1024),
    "V100": Gpu(80, 2048),
    "A100": Gpu(108, 2048),
    "A10": Gpu(72, 1536),
    "A10G": Gpu(80, 1536),
    "RTX 3090": Gpu(82, 1536),
    "L4": Gpu(58, 1536),
    "L40S": Gpu(142, 1536),
    "RTX 4090": Gpu(128, 1536),
    "H100 PCIe": Gpu(114, 2048),
    "H100 SXM": Gpu(132, 2048),
    "H200": Gpu(132, 2048),
}


def gpu_named(gpu: str | Gpu) -> Gpu:
    """Return a GPU by its name."""
    if isinstance(gpu, Gpu):
        return gpu
    if gpu not in GPUS:
        raise ValueError(f"gpu must be a Gpu(multiprocessors, threads) or one of {', '.join(GPUS)}, got {gpu!r}")
    return GPUS[gpu]
