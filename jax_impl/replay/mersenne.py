"""The words and the state of torch's CPU generator: MT19937, which `numpy.random.RandomState` implements, too.

The source is aten's CPUGeneratorImpl.cpp.
"""

from typing import TypeVar

import numpy as np
from jaxtyping import Float, Float64, UInt8, UInt32, UInt64

from jax_impl.replay.arguments import Kind, integer
from jax_impl.replay.normals import in_pairs

# Fields of CPUGeneratorImplState, the bytes of `torch.get_rng_state()`. The key lasts for `left` - 1 more draws.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key", "normal", "normal_is_valid"],
        "formats": ["u8", "i4", "i4", "u8", "624u8", "f8", "i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)
Generator = TypeVar("Generator", bound="Mersenne")
PLATFORMS = ("avx2", "mkl", "default")
_SKIPPED = 2**24  # words at a time


class Mersenne:
    """The stream of a `torch.Generator` on the CPU after `manual_seed(seed)`, with a seed from -2**63 to 2**64 - 1.

    As in torch, only the seed's low 32 bits (in two's complement) matter. `platform` is one of `PLATFORMS`, and says
    which of torch's kernels are replayed where they differ: "avx2" those of most x86-64 processors, "mkl" those of
    Intel processors on which torch leaves `bernoulli_` with a number to MKL, and "default" those without fused
    multiply-adds (ATEN_CPU_CAPABILITY=default).
    """

    def __init__(self, seed: int, platform: str = PLATFORMS[0]) -> None:
        if platform not in PLATFORMS:
            raise ValueError(f"platform must be {', '.join(PLATFORMS[:-1])} or {PLATFORMS[-1]}, got {platform!r}")
        self.platform = platform
        self._seed = integer("seed", seed, -(2**63), 2**64 - 1) % 2**64
        self._stream = np.random.RandomState(self._seed % 2**32)
        self._begun = False  # whether words were drawn; only the state differs
        self._next_normal: float | None = None  # the second number of a scalar Box-Muller pair

    def state(self) -> UInt8[np.ndarray, "5056"]:
        """Return the state as the bytes of `torch.get_rng_state()`. `torch.set_rng_state` accepts them."""
        stream = self._stream.get_state(legacy=False)["state"]
        fields = np.zeros(1, _STATE)
        fields["seed"], fields["seeded"] = self._seed, 1
        fields["key"], fields["next"], fields["left"] = stream["key"], stream["pos"], 625 - stream["pos"]
        if not self._begun:
            fields["next"] = 0
        if self._next_normal is not None:
            fields["normal"], fields["normal_is_valid"] = self._next_normal, 1
        return fields.view(np.uint8)

    @classmethod
    def from_state(cls: type[Generator], state: UInt8[np.ndarray, "5056"], platform: str = PLATFORMS[0]) -> Generator:
        """Return a generator with a state that `state()` or `torch.get_rng_state()` returned."""
        state = np.asarray(state)
        if state.shape != (_STATE.itemsize,) or state.dtype != np.uint8:
            raise ValueError(f"state must be uint8 ({_STATE.itemsize},), got {state.dtype} {state.shape}")
        fields = np.frombuffer(state.tobytes(), _STATE)[0]
        if not (fields["seeded"] == 1 and 1 <= fields["left"] <= 624):
            raise ValueError(f"state must be a generator's, with left in 1 to 624, got {fields['left']}")
        generator = cls(int(fields["seed"]), platform)
        generator._stream.set_state(("MT19937", fields["key"].astype(np.uint32), 625 - int(fields["left"]), 0, 0.0))
        generator._begun = bool(fields["next"])
        generator._next_normal = float(fields["normal"]) if fields["normal_is_valid"] else None
        return generator

    def words(self, n: int) -> UInt32[np.ndarray, " n"]:
        """Draw n 32-bit integers, as `CPUGeneratorImpl::random`."""
        self._begun = self._begun or integer("n", n, 0) > 0
        return self._stream.randint(0, 2**32, n, dtype=np.uint32)

    def words64(self, n: int) -> UInt64[np.ndarray, " n"]:
        """Draw n 64-bit integers, the high half of each first (`CPUGeneratorImpl::random64`)."""
        pairs = self.words(2 * integer("n", n, 0)).astype("<u4", copy=False).view("<u8")  # the first one is low
        return (pairs << np.uint64(32) | pairs >> np.uint64(32)).astype(np.uint64, copy=False)

    def skip(self, n: int) -> None:
        """Draw n 32-bit integers for nothing."""
        while n > 0:
            self.words(min(n, _SKIPPED))
            n -= _SKIPPED

    def unit(self, n: int, kind: Kind) -> Float[np.ndarray, " n"]:
        """Draw n numbers from [0, 1) in what `kind` computes in, from as many low bits as that has (`uniform_real`)."""
        if kind.computes == np.float32:
            return (self.words(n) & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)
        return self.doubles(n)

    def doubles(self, n: int) -> Float64[np.ndarray, " n"]:
        """Draw n numbers from [0, 1) in float64 (`uniform_real_distribution<double>`)."""
        bits = self.words64(n) & np.uint64(2**53 - 1)
        return bits.view(np.int64).astype(np.float64) * 2**-53  # signed integers are converted faster

    def one_by_one(self, n: int) -> Float64[np.ndarray, " n"]:
        """Draw n standard normal numbers in pairs, and keep the second number of a pair that is not used up.

        The next call starts with it (`at::normal_distribution<double>`).
        """
        kept = [] if self._next_normal is None or n == 0 else [self._next_normal]
        pairs = (n - len(kept) + 1) // 2
        drawn = self.doubles(2 * pairs).reshape(pairs, 2)
        values = np.concatenate([np.array(kept, np.float64), in_pairs(drawn[:, 0], drawn[:, 1]).ravel()])
        if n:
            self._next_normal = float(values[n]) if len(values) > n else None
        return values[:n]
