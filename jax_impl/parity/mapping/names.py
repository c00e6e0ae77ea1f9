"""Names of leaves, taken apart: words that mean the same, numbers, and the role of a leaf in its layer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from math import prod
from typing import NamedTuple

from jax_impl.parity.mapping.leaves import Leaf

Key = tuple[str | int, ...]
COLLECTIONS = {"params", "batch_stats"}  # of Linen: the first part of a path, which is no layer
BOXES = {"value", "raw_value"}  # of NNX: the last part of a path
INDICES = {"ema_state_index", "batch_state_index"}  # of Equinox's BatchNorm: they hold mean and variance
# Last words of a leaf's name, by the role that they tell
ROLES = {
    "weight": ("weight", "kernel", "scale", "embedding", "w", "g", "gamma", "gain"),
    "bias": ("bias", "b", "beta", "offset"),
    "mean": ("mean",),
    "var": ("var", "variance"),
}
ROLE_OF = {word: role for role, words in ROLES.items() for word in words}
FIRST = {"w": "weight", "b": "bias", "weight": "weight", "bias": "bias", "kernel": "weight"}  # the same for first words
# Words that programs use for the same thing. A word that is absent stands for itself.
SYNONYMS = {
    "norm": "bn ln gn batchnorm layernorm groupnorm rmsnorm instancenorm",
    "attention": "attn mha multihead",
    "linear": "fc lin dense",
    "projection": "proj",
    "query": "q wq",
    "key": "k wk",
    "value": "v wv",
    "out": "o wo output",
    "packed": "qkv wqkv cattn inproj qkvproj toqkv querykeyvalue",
    "embed": "emb embedding embeddings",
    "token": "wte tok word",
    "position": "wpe pos positional",
    "layer": "block blocks h layers",
    "mlp": "ffn ff feedforward",
    "shortcut": "skip downsample identity residual",
    "encoder": "enc",
    "decoder": "dec",
    "conv": "convs convolution",
    "backward": "bwd reverse bw",
    "forward": "fwd fw",
    "head": "classifier",
}
MEANING = {word: meaning for meaning, words in SYNONYMS.items() for word in words.split()}
VAGUE = {"self", "module", "model", "net", "layer"}  # say little about which layer is meant


class Name(NamedTuple):
    """A path taken apart: for each component its words and its number, -1 if it has none."""

    components: tuple[tuple[str, int], ...]

    def words(self) -> tuple[str, ...]:
        """Return all words of the path, each by the one that stands for its synonyms."""
        return tuple(meaning for text, _ in self.components for meaning in meanings(text))

    def last_words(self) -> tuple[str, ...]:
        """Return the words of the last component that has any."""
        return next((tuple(meanings(text)) for text, _ in reversed(self.components) if text), ())

    def key(self, *, meant: bool) -> Key:
        """Return what two equal names have in common; `meant` takes synonyms as equal."""
        parts: list[str | int] = []
        for text, number in self.components:
            parts += meanings(text) if meant else [text.replace("_", "")]
            parts += [number] if number >= 0 else []
        return tuple(part for part in parts if part != "")


def pieces(path: str) -> list[str]:
    """Return the parts of a path: "a['b'][0]" and "a.b.0" are a, b, 0."""
    return [piece for piece in re.split(r"[./\[\]'\"]+", path) if piece]


def cleaned(leaf: Leaf) -> str:
    """Return the path of a leaf joined by dots, without what its framework puts around it."""
    parts = [part for part in pieces(leaf.name) if part not in INDICES]
    first = len(parts) > 1 and leaf.framework == "linen" and parts[0] in COLLECTIONS
    last = len(parts) > 1 and leaf.framework == "nnx" and parts[-1] in BOXES
    return ".".join(parts[int(first) : len(parts) - int(last)])


@lru_cache(maxsize=65536)
def parse(path: str) -> Name:
    """Take a path apart after each number: "layers_2.ConvBlock_0" is (layers, 2), (conv_block, 0)."""
    components: list[tuple[str, int]] = []
    for piece in pieces(path):
        plain = re.sub(r"([A-Za-z])[123][dD](?![a-z0-9])", r"\1", piece)  # Conv2d is a Conv
        for text, number in re.findall(r"(\D*)(\d*)", plain):
            words = "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)).casefold()
            components += [(words, int(number) if number else -1)] if words or number else []
    return Name(tuple(components))


def meanings(text: str) -> list[str]:
    """Return the words of a component, synonyms replaced: "layer_norm" is [norm], "q_proj" is [query, projection]."""
    joined = text.replace("_", "")
    if joined in MEANING:
        return [MEANING[joined]]
    text = re.sub(r"(batch|layer|group|instance|rms)_norm", "norm", text)
    return [MEANING.get(word, word) for word in text.split("_") if word]


def similarity(a: Name, b: Name) -> float:
    """Return how much two names say the same, from 0 to 1: half of it is the last component."""
    last = _shared(a.last_words(), b.last_words())
    return 0.5 * last + 0.3 * _shared(a.words(), b.words()) + 0.2 * _spelling(_last(a), _last(b))


def _shared(first: Sequence[str], second: Sequence[str]) -> float:
    one, other = set(first) - VAGUE, set(second) - VAGUE
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0


@lru_cache(maxsize=65536)
def _spelling(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second).ratio() if first and second else 0.0


def _last(name: Name) -> str:
    return next((text for text, _ in reversed(name.components) if text), "")


def role(rest: str) -> tuple[str, str]:
    """Return the role that the last part of a leaf's name tells, "" if none, and what is left: W1 is (weight, 1)."""
    text = re.sub(r"^(running|moving)_", "", rest)
    if text in ROLE_OF:
        return ROLE_OF[text], ""
    short = re.fullmatch(r"([wWb])(q|k|v|o|qkv|[ihx]|ih|hh|\d+)", text)  # Wq, b1
    if short:
        return FIRST[short[1].casefold()], short[2]
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)
    if len(words) > 1 and words[-1].casefold() in ROLE_OF:
        return ROLE_OF[words[-1].casefold()], "_".join(words[:-1])
    if len(words) > 1 and words[0].casefold() in FIRST:
        return FIRST[words[0].casefold()], "_".join(words[1:])
    return "", text


def keys(theirs: Iterable[Name], ours: Iterable[Name], *, meant: bool) -> tuple[list[Key], list[Key]]:
    """Return what the names of two sides are compared by.

    First words that all names of a side share, such as "model", are dropped. Where the two sides number the same
    siblings differently (0, 2, 4 and 1, 2, 3), both are counted from 0. If words only mean the same, and the numbers do
    not start alike, the numbers tell nothing: torch's bn1 need not be BatchNorm_1.
    """
    sides = [_stripped([name.key(meant=meant) for name in side]) for side in (theirs, ours)]
    numbers = [_numbers(side) for side in sides]
    strange = ["theirs ", "ours "] if meant else ["", ""]
    recounted = [
        [_recounted(key, numbers[k], numbers[1 - k], strange[k]) for key in side] for k, side in enumerate(sides)
    ]
    return recounted[0], recounted[1]


def _stripped(side: list[Key]) -> list[Key]:
    while side and all(len(key) > 1 and key[0] == side[0][0] and isinstance(key[0], str) for key in side):
        side = [key[1:] for key in side]
    return side


def _numbers(side: Sequence[Key]) -> dict[Key, set[int]]:
    """Return the numbers that follow each beginning of a name."""
    found: dict[Key, set[int]] = defaultdict(set)
    for key in side:
        for place, part in enumerate(key):
            if isinstance(part, int):
                found[_pattern(key[:place])].add(part)
    return found


def _pattern(key: Key) -> Key:
    return tuple("#" if isinstance(part, int) else part for part in key)


def _recounted(key: Key, mine: Mapping[Key, set[int]], other: Mapping[Key, set[int]], strange: str) -> Key:
    """Return a key with its numbers as they are compared; those that tell nothing get the word `strange`."""
    parts: list[str | int] = []
    for place, part in enumerate(key):
        first, second = (side.get(_pattern(key[:place]), set()) for side in (mine, other))
        if not isinstance(part, int) or first == second or not second:
            parts.append(part)
        elif len(first) == len(second):
            parts.append(sorted(first).index(part))
        else:
            parts.append(f"{strange}{part}" if strange and min(first) != min(second) else part)
    return tuple(parts)


def closest(leaf: Leaf, candidates: Sequence[Leaf], number: int = 3) -> tuple[str, ...]:
    """Return the names of the leaves that come closest to one, best first: by their names, and by their shapes."""

    def likeness(other: Leaf) -> float:
        alike = float(sorted(leaf.shape) == sorted(other.shape)) + (prod(leaf.shape) == prod(other.shape))
        return similarity(parse(cleaned(leaf)), parse(cleaned(other))) + _spelling(leaf.name, other.name) + 0.25 * alike

    return tuple(other.name for other in sorted(candidates, key=likeness, reverse=True)[:number])
