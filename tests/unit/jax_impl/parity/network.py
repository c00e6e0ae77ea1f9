"""A small network with BatchNorm and dropout in NumPy, which can be wrong in many ways: it stands for both programs.

Net(x) = head(body(x)),  body(x) = drop(relu(bn(between * fc(x))))
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
BATCH, INPUTS, HIDDEN, CLASSES, STEPS = 16, 6, 8, 3, 3
RATE = 0.5
MODULES = {"": "Net", "body": "Body", "body.fc": "Linear", "body.bn": "BatchNorm1d", "body.relu": "ReLU",
           "body.drop": "Dropout", "head": "Linear"}  # fmt: skip
PARAMETERS = ("body.fc.weight", "body.fc.bias", "body.bn.weight", "body.bn.bias", "head.weight", "head.bias")
BUFFERS = ("body.bn.running_mean", "body.bn.running_var", "body.bn.num_batches_tracked")


@dataclass(kw_only=True)
class Program:
    """How a program computes and trains. The defaults are the reference's; a port may differ in each."""

    eps: float = 1e-5
    momentum: float = 0.1
    biased: bool = False  # running variance
    updates_statistics: bool = True
    evaluates_in_training_mode: bool = False
    between: float = 1.5  # factor that `body` applies between fc and bn
    slope: float = 0.0  # of the ReLU for negative numbers
    summed: bool = False  # loss
    detached_head: bool = False  # no gradient flows from the head into the body
    lr: tuple[float, ...] = (0.01,) * STEPS
    beta: float = 0.9
    adam_eps: float = 1e-8
    rate: float = RATE
    same_mask: bool = False
    jitter: int | None = None  # seed of the rounding errors; None computes as it is
    unit: float = 2.0**-53  # size of these rounding errors
    functions: tuple[str, ...] = ()  # modules of the reference that are plain functions in the port
    float32: tuple[str, ...] = ()  # modules that round their inputs to float32
    state: np.random.RandomState = field(default_factory=lambda: np.random.RandomState(0), repr=False)

    def moved(self, array: np.ndarray) -> np.ndarray:
        """Return the array with rounding errors of random signs."""
        if self.jitter is None or array.dtype.kind != "f":
            return array
        return array * (1 + self.unit * self.state.choice([-1.0, 1.0], array.shape))


@dataclass
class Tape:
    """The calls of modules. If `given`, each call receives the reference's inputs and hands its outputs on."""

    program: Program
    given: dict[str, dict[str, Any]] | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    begun: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0

    def begin(self, module: str, value: np.ndarray) -> np.ndarray:
        value = self.program.moved(value)
        self.begun.append({"module": module, "call": 0, "order": self.count, "inputs": [value]})
        self.count += 1
        if module in self.program.functions:
            return value
        value = self.given[module]["inputs"][0] if self.given else value
        return value.astype(np.float32).astype(np.float64) if module in self.program.float32 else value

    def end(self, value: np.ndarray) -> np.ndarray:
        value = self.program.moved(value)
        call = self.begun.pop()
        module = call["module"]
        if module in self.program.functions:
            return value
        self.calls.append({**call, "own": module, "outputs": [value], "float32": module in self.program.float32})
        return self.given[module]["outputs"][0] if self.given else value


def start() -> Arrays:
    """The weights and buffers before training."""
    random = np.random.RandomState(1)
    return {
        "body.fc.weight": random.randn(HIDDEN, INPUTS), "body.fc.bias": random.randn(HIDDEN),
        "body.bn.weight": 1 + random.rand(HIDDEN), "body.bn.bias": random.randn(HIDDEN),
        "head.weight": random.randn(CLASSES, HIDDEN), "head.bias": random.randn(CLASSES),
        "body.bn.running_mean": random.randn(HIDDEN), "body.bn.running_var": 1 + random.rand(HIDDEN),
        "body.bn.num_batches_tracked": np.array(0),
    }  # fmt: skip


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.RandomState(2)
    return [(random.randn(BATCH, INPUTS), random.randint(0, CLASSES, BATCH)) for _ in range(STEPS)]


def masks(seed: int = 3, rate: float = RATE) -> list[np.ndarray]:
    random = np.random.RandomState(seed)
    return [random.rand(BATCH, HIDDEN) >= rate for _ in range(STEPS)]


def forward(
    program: Program, leaves: Arrays, x: np.ndarray, mask: np.ndarray, *, train: bool, given: Any = None
) -> tuple[np.ndarray, Arrays, Tape, Arrays]:
    """Return the output, the buffers after the pass, the calls, and what the gradients need."""
    tape = Tape(program, given)
    train = train or program.evaluates_in_training_mode
    x = tape.begin("body", tape.begin("", x))
    a = tape.end(tape.begin("body.fc", x) @ leaves["body.fc.weight"].T + leaves["body.fc.bias"])
    b = tape.begin("body.bn", program.between * a)
    mean, var = (b.mean(0), b.var(0)) if train else (leaves["body.bn.running_mean"], leaves["body.bn.running_var"])
    z = (b - mean) / np.sqrt(var + program.eps)
    h = tape.end(z * leaves["body.bn.weight"] + leaves["body.bn.bias"])
    r = tape.begin("body.relu", h)
    r = tape.end(np.where(r > 0, r, program.slope * r))
    kept = mask / (1 - RATE) if train else np.ones(mask.shape)
    d = tape.end(tape.end(tape.begin("body.drop", r) * kept))
    out = tape.end(tape.end(tape.begin("head", d) @ leaves["head.weight"].T + leaves["head.bias"]))
    buffers = {name: leaves[name] for name in BUFFERS}
    if train and program.updates_statistics:
        m, unbiased = program.momentum, var * (1 if program.biased else BATCH / (BATCH - 1))
        buffers |= {
            "body.bn.running_mean": (1 - m) * leaves["body.bn.running_mean"] + m * mean,
            "body.bn.running_var": (1 - m) * leaves["body.bn.running_var"] + m * unbiased,
            "body.bn.num_batches_tracked": leaves["body.bn.num_batches_tracked"] + 1,
        }
    return out, buffers, tape, {"x": x, "z": z, "var": var, "h": h, "d": d, "kept": kept}


def loss_of(program: Program, out: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the cross entropy and its gradient."""
    shifted = out - out.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    scale = 1.0 if program.summed else 1 / len(labels)
    grad = (np.exp(logs) - np.eye(CLASSES)[labels]) * scale
    return float(-logs[np.arange(len(labels)), labels].sum() * scale), grad


def gradients(program: Program, leaves: Arrays, kept: Arrays, grad: np.ndarray) -> Arrays:
    found = {"head.weight": grad.T @ kept["d"], "head.bias": grad.sum(0)}
    g = (0.0 if program.detached_head else 1.0) * (grad @ leaves["head.weight"]) * kept["kept"]
    g = np.where(kept["h"] > 0, g, program.slope * g)
    found |= {"body.bn.weight": (g * kept["z"]).sum(0), "body.bn.bias": g.sum(0)}
    g = g * leaves["body.bn.weight"]
    g = (g - g.mean(0) - kept["z"] * (g * kept["z"]).mean(0)) / np.sqrt(kept["var"] + program.eps) * program.between
    return found | {"body.fc.weight": g.T @ kept["x"], "body.fc.bias": g.sum(0)}


def adam(program: Program, step: int, grads: Arrays, moments: dict[str, Arrays], leaves: Arrays) -> Arrays:
    """Change the moments, and return the updates."""
    updates = {}
    for name, grad in grads.items():
        own = moments.setdefault(name, {"exp_avg": np.zeros(grad.shape), "exp_avg_sq": np.zeros(grad.shape)})
        own["exp_avg"] = program.moved(program.beta * own["exp_avg"] + (1 - program.beta) * grad)
        own["exp_avg_sq"] = program.moved(0.999 * own["exp_avg_sq"] + 0.001 * grad**2)
        mean, square = own["exp_avg"] / (1 - program.beta**step), own["exp_avg_sq"] / (1 - 0.999**step)
        after = program.moved(leaves[name] - program.lr[step - 1] * mean / (np.sqrt(square) + program.adam_eps))
        updates[name] = after - leaves[name]
    return updates


def run(program: Program, reference: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return everything that a record has of a program's run, with arrays in place of references."""
    if program.jitter is not None:
        program.state = np.random.RandomState(program.jitter)
    leaves, data, drawn = start(), batches(), masks()
    x, labels = data[0]
    passes: dict[str, Any] = {}
    moved = {name: program.moved(array) for name, array in leaves.items()}
    for mode in ("train", "eval"):
        out, _, tape, kept = forward(program, moved, x, drawn[0], train=mode == "train")
        value, grad = loss_of(program, out, labels)
        passes[mode] = {"free": tape.calls, "forced": [], "loss": value, "masks": []}
        if mode == "train":
            grads = gradients(program, moved, kept, grad)
            passes[mode]["masks"] = [mask_entry(drawn[0])]
        if reference is not None:
            given = {call["module"]: call for call in reference["forward"][mode]["free"]}
            passes[mode]["forced"] = forward(program, moved, x, drawn[0], train=mode == "train", given=given)[2].calls
    return {"forward": passes, "gradients": grads, "injected": injected(program), **training(program, moved)}


def mask_entry(mask: np.ndarray) -> dict[str, Any]:
    return {"module": "body.drop", "rate": RATE, "shape": list(mask.shape), "array": mask}


def injected(program: Program) -> list[dict[str, Any]]:
    random = np.random.RandomState(4)
    leaves = {name: array for name, array in start().items() if name in PARAMETERS}
    moments: dict[str, Arrays] = {}
    steps = []
    for step in range(1, STEPS + 1):
        grads = {name: 10.0 ** random.uniform(-6, 0, leaf.shape) for name, leaf in leaves.items()}
        updates = adam(program, step, grads, moments, leaves)
        leaves = {name: leaf + updates[name] for name, leaf in leaves.items()}
        steps.append(
            {
                "learning_rates": [program.lr[step - 1]],
                "updates": updates,
                "state": {k: dict(v) for k, v in moments.items()},
            }
        )
    return steps


def training(program: Program, leaves: Arrays) -> dict[str, Any]:
    moments: dict[str, Arrays] = {}
    steps = []
    drawn = masks()
    for step, (x, labels) in enumerate(batches(), start=1):
        out, buffers, _, kept = forward(program, leaves, x, drawn[step - 1], train=True)
        value, grad = loss_of(program, out, labels)
        grads = gradients(program, leaves, kept, grad)
        updates = adam(program, step, grads, moments, leaves)
        leaves = {name: leaf + updates[name] if name in updates else leaf for name, leaf in leaves.items()} | buffers
        steps.append({
            "loss": value, "gradient_norm": float(np.sqrt(sum((g**2).sum() for g in grads.values()))),
            "learning_rates": [program.lr[step - 1]], "updates": updates, "buffers": buffers,
            "state": {k: dict(v) for k, v in moments.items()}, "masks": [mask_entry(drawn[step - 1])],
        })  # fmt: skip
    x, labels = batches()[0]
    out, *_ = forward(program, leaves, x, drawn[0], train=False)
    value, _ = loss_of(program, out, labels)
    return {"trajectory": steps, "after": {"loss": value, "outputs": [out]}}


def own_masks(program: Program) -> dict[str, Any]:
    """Return the masks that the port would draw."""
    drawn = masks(5, program.rate)
    drawn = [drawn[0]] * len(drawn) if program.same_mask else drawn
    entries = [
        {"rate": program.rate, "shape": list(mask.shape), "digest": hashlib.sha256(mask.tobytes()).hexdigest()}
        for mask in drawn
    ]
    return {"forward": entries[:1], "steps": [[entry] for entry in entries]}


def fresh(seed: int, names: Sequence[str] = PARAMETERS) -> Arrays:
    """Return samples of the initial weights of 8 models: PyTorch's uniform ones, and constants of BatchNorm."""
    random = np.random.RandomState(seed)
    bounds = {"body.fc": INPUTS**-0.5, "head": HIDDEN**-0.5}
    found = {}
    for name in names:
        module, _, kind = name.rpartition(".")
        shape = (8, start()[name].size)
        constant = np.full(shape, 1.0 if kind == "weight" else 0.0)
        found[name] = random.uniform(-bounds[module], bounds[module], shape) if module in bounds else constant
    return found
