"""Records are complete, their numbers are torch's own, and nothing of the user's is changed."""

import copy
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.unit.torch_ref.record.programs import PROGRAMS, Program, classify, cnn, mlp, read, square, stored
from torch_ref import record
from torch_ref.errors import UserError

ROOT = Path(__file__).parents[4]


def trained_by_hand(program: Program, steps: int) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Return the losses of a plain loop, and the first gradients."""
    model = copy.deepcopy(program.model)
    optimizer = program.optimizer(model.parameters())
    losses, gradients = [], dict[str, torch.Tensor]()
    for batch in program.batches[:steps]:
        optimizer.zero_grad()
        loss = program.loss(model, batch)
        loss.backward()
        losses.append(loss.item())
        gradients = gradients or {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
    return losses, gradients


@pytest.mark.parametrize("name", PROGRAMS)
def test_losses_and_gradients_are_torchs_own_bit_for_bit(name: str, tmp_path: Path) -> None:
    """Neither hooks nor recorded masks change a number: 0 ulp, on a CPU and with the same seed."""
    program = PROGRAMS[name]()
    torch.manual_seed(7)
    losses, gradients = trained_by_hand(program, len(program.batches))
    torch.manual_seed(7)
    found = program.save(tmp_path / "new", precision="as it is")
    assert [step["loss"] for step in found["trajectory"]] == losses
    assert found["forward"]["train"]["loss"] == losses[0]
    assert gradients.keys() == found["gradients"].keys()
    assert all(np.array_equal(found["gradients"][key].value, grad.numpy()) for key, grad in gradients.items())
    assert found["notes"] == []


def test_half_precision_is_recorded_as_it_is(tmp_path: Path) -> None:
    program = cnn()
    program.model.bfloat16()
    program.batches = [(images.bfloat16(), labels) for images, labels in program.batches]
    torch.manual_seed(7)
    losses, _ = trained_by_hand(program, 3)
    torch.manual_seed(7)
    found = program.save(tmp_path / "new", precision="as it is")
    assert [step["loss"] for step in found["trajectory"]] == losses
    assert found["precision"] == {"model": "bfloat16", "recorded": "bfloat16", "note": ""}
    output = found["forward"]["train"]["free"][0]["outputs"][0]
    assert (output.dtype, output.value.dtype) == ("bfloat16", np.float32)
    assert output.noise >= 2**-8 * output.norm


class State:
    """Everything of the user's that recording must give back."""

    def __init__(self, program: Program, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
        model = program.model
        self.kept = {
            "parameters": [(id(p), p.dtype, p.data_ptr(), p.requires_grad, id(p.grad)) for p in model.parameters()],
            "buffers": [(id(buffer), buffer.dtype) for buffer in model.buffers()],
            "modules": [(m.training, set(vars(m)), len(m._forward_hooks), m._buffers.keys()) for m in model.modules()],
            "scheduler": copy.deepcopy(scheduler.state_dict()),
            "groups": copy.deepcopy(optimizer.state_dict()["param_groups"]),
            "torch": (torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()),
            "functions": (
                torch.dropout,
                torch.lstm,
                functional.scaled_dot_product_attention,
                "dropout" in vars(torch._VF),
            ),
            "precision": torch.get_float32_matmul_precision(),
        }
        moments = [value for state in optimizer.state.values() for value in state.values()]
        grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        tensors = [*model.state_dict().values(), *moments, *grads, torch.get_rng_state()]
        self.tensors = [tensor.clone() for tensor in tensors]

    def assert_same(self, other: "State") -> None:
        for key, value in self.kept.items():
            assert other.kept[key] == value, key
        assert len(self.tensors) == len(other.tensors)
        assert all(torch.equal(old, new) for old, new in zip(self.tensors, other.tensors, strict=True))


def fails(_: nn.Module) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("precision", ["float64", "as it is"])
@pytest.mark.parametrize("before_step", [None, fails])
def test_everything_is_put_back(precision: str, before_step: Callable[..., None] | None, tmp_path: Path) -> None:
    program = cnn()
    model = program.model
    model[1].eval()
    model[0].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=20)
    for batch in program.batches:  # in the middle of a training: moments, gradients and statistics are not fresh
        optimizer.zero_grad()
        program.loss(model, batch).backward()
        optimizer.step()
        scheduler.step()
    before = State(program, optimizer, scheduler)
    arguments = {"loss": program.loss, "batches": program.batches, "steps": 2, "precision": precision}
    arguments |= {"optimizer": optimizer, "scheduler": scheduler, "before_step": before_step}
    if before_step is None:
        record.save(tmp_path / "new", model=model, fresh=lambda: cnn().model, seeds=2, **arguments)
    else:
        with pytest.raises(ZeroDivisionError):
            record.save(tmp_path / "new", model=model, **arguments)
        assert list(tmp_path.iterdir()) == []
    before.assert_same(State(program, optimizer, scheduler))


def test_a_record_holds_what_the_format_says(tmp_path: Path) -> None:
    found = cnn().save(tmp_path / "new", fresh=lambda: cnn().model, seeds=2, accuracy=[0.5, 0.75], steps=4)
    assert (found["format"], found["side"], found["start_of"], found["accuracy"]) == (1, "torch", None, [0.5, 0.75])
    assert found["precision"] == {"model": "float32", "recorded": "float64", "note": ""}
    assert [module["path"] for module in found["modules"]] == ["", *"01234567"]
    assert all(module["calls"] == 1 for module in found["modules"])
    names = [leaf["name"] for leaf in found["leaves"]]
    assert names[:3] == ["0.weight", "0.bias", "1.weight"]
    assert names[-3:] == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert found["arrays"]["start"].keys() == set(names)
    assert len(found["batches"]) == len(found["injected"]) == len(found["trajectory"]) == 4
    images, labels = found["batches"][3]["tuple"]
    assert np.array_equal(images["array"].value, cnn().batches[0][0].numpy())  # the batches start anew
    assert (images["array"].dtype, labels["array"].dtype) == ("float64", "int64")
    step = found["trajectory"][2]
    assert step["state"]["0.weight"].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert step["buffers"]["1.num_batches_tracked"].value == 3
    assert step["learning_rates"] == [0.001]
    assert [mask["module"] for mask in step["masks"]] == ["3", "6"]
    assert [mask["rate"] for mask in found["forward"]["train"]["masks"]] == [0.2, 0.1]
    assert found["forward"]["eval"]["masks"] == []
    assert found["fresh"]["leaves"]["0.weight"].shape == [2, 216]
    assert found["after"]["outputs"][0].shape == [4, 5]
    assert found["optimizer"]["groups"][0]["weight_decay"] == 0.01
    for array in stored(found):
        assert list(array.value.shape) == array.shape
        assert np.linalg.norm(array.value.astype(float)) == pytest.approx(array.norm, rel=1e-12)


def test_files_have_the_digests_that_the_record_lists(tmp_path: Path) -> None:
    found = mlp().save(tmp_path / "new")
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "new").glob("*.safe*")}
    assert found["files"] == files
    assert files.keys() == {"start.safetensors", "batches.safetensors", "forward.safetensors", "steps.safetensors"}


def test_the_same_program_gives_the_same_record(tmp_path: Path) -> None:
    for name in ("first", "second"):
        torch.manual_seed(3)
        cnn().save(tmp_path / name)
    assert (tmp_path / "first" / "record.json").read_bytes() == (tmp_path / "second" / "record.json").read_bytes()


def test_passes_start_from_the_same_buffers(tmp_path: Path) -> None:
    """Evaluation uses BatchNorm's statistics from before training, and the trajectory begins with them."""
    program = cnn()
    found = program.save(tmp_path / "new")
    model = copy.deepcopy(program.model).double().eval()
    images, labels = program.batches[0]
    assert found["forward"]["eval"]["loss"] == pytest.approx(
        functional.cross_entropy(model(images.double()), labels).item()
    )
    assert found["trajectory"][0]["loss"] == found["forward"]["train"]["loss"]
    mean = model[0](images.double()).mean((0, 2, 3)) * 0.1
    assert np.allclose(found["trajectory"][0]["buffers"]["1.running_mean"].value, mean.detach(), rtol=1e-12, atol=0)


def test_a_loss_may_overwrite_its_batch(tmp_path: Path) -> None:
    program = mlp()
    program.loss = lambda model, batch: square(model, batch.add_(1))
    expected = square(program.model, program.batches[0] + 1).item()
    found = program.save(tmp_path / "new", precision="as it is")
    losses = [found["forward"]["train"]["loss"], found["forward"]["eval"]["loss"], found["trajectory"][0]["loss"]]
    assert losses == [expected] * 3


class Single(nn.Module):
    """A model with a constant in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) @ torch.eye(3, dtype=torch.float32)


def test_a_model_that_cannot_run_in_float64_keeps_its_precision(tmp_path: Path) -> None:
    program = mlp()
    program.model = Single()
    found = program.save(tmp_path / "new")
    assert found["precision"]["recorded"] == "float32"
    assert found["precision"]["note"].startswith("the model cannot run in float64: RuntimeError: ")
    assert found["forward"]["train"]["loss"] == square(program.model, program.batches[0]).item()


class Tempered(nn.Module):
    """A layer with a parameter without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.temperature = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.temperature * self.linear(x)


def test_a_parameter_may_have_no_axes(tmp_path: Path) -> None:
    program = mlp()
    program.model = Tempered()
    found = program.save(tmp_path / "new")
    assert found["precision"]["recorded"] == "float64"
    assert found["injected"][0]["updates"]["temperature"].shape == []
    assert found["trajectory"][0]["updates"]["temperature"].norm > 0


@pytest.mark.parametrize(
    "cast",
    [
        lambda x: x.float(),
        lambda x: x.to(torch.float32),
        lambda x: x.to(dtype=torch.float32),
        lambda x: x.type(torch.float32),
        lambda x: x * torch.ones(4, 2, dtype=torch.int64).float(),
        lambda x: x.sum(1, keepdim=True, dtype=torch.float32) / x.sum(1, keepdim=True) * x,
    ],
)
def test_a_conversion_to_float32_does_nothing_as_in_the_user_s_run(
    cast: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    program, plain = mlp(), mlp()
    program.loss = lambda model, batch: (cast(model(batch)).pow(2).mean() + 1.0).float()
    plain.loss = lambda model, batch: model(batch).pow(2).mean() + 1.0
    found, expected = program.save(tmp_path / "cast"), plain.save(tmp_path / "plain")
    for step, reference in zip(found["trajectory"], expected["trajectory"], strict=True):
        assert step["loss"] == pytest.approx(reference["loss"], rel=1e-15)
        assert reference["loss"] != float(np.float32(reference["loss"]))


def test_what_the_loss_uses_runs_in_float64_too(tmp_path: Path) -> None:
    """Weights of the classes in a module or a tensor are no reason to fall back to float32."""
    program = cnn()
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    criterion = nn.CrossEntropyLoss(weight=weights.clone())
    for loss in (
        lambda model, batch: criterion(model(batch[0]), batch[1]),
        lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1], weight=weights),
    ):
        program.loss = loss
        assert program.save(tmp_path / "new", steps=1)["precision"]["recorded"] == "float64"
    assert weights.dtype == criterion.weight.dtype == torch.float32


def test_a_compiled_model_is_recorded_as_it_was_written(tmp_path: Path) -> None:
    program = mlp()
    plain = program.save(tmp_path / "plain")
    program.model = torch.compile(program.model)
    compiled = program.save(tmp_path / "compiled")
    assert [module["path"] for module in compiled["modules"]] == ["", "0", "1", "2"]
    assert compiled["trajectory"][-1]["loss"] == plain["trajectory"][-1]["loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": lambda model, batch: model(batch)}, r"scalar tensor, got shape \(4, 2\)"),
        ({"loss": lambda model, batch: 3.0}, "scalar tensor, got float"),
        ({"loss": lambda model, batch: square(model, batch).detach()}, "must depend on the model's parameters"),
    ],
)
def test_a_loss_of_the_wrong_kind_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    program = mlp()
    program.loss = change["loss"]
    with pytest.raises(TypeError, match=message):
        program.save(tmp_path / "new")


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path: Path) -> None:
    program = mlp()
    program.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=1e200)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) in step 2: "):
        program.save(tmp_path / "new")


def test_progress_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch_ref.record.progress.QUIET", 0.0)
    lines: list[str] = []
    mlp().save(tmp_path / "new", progress=lines.append)
    assert lines[1].startswith("recording takes about ")
    assert "rounding error, run 2 of 2: training step 3 of 3" in lines
    with caplog.at_level(logging.INFO, logger="torch_ref.record"):
        mlp().save(tmp_path / "new")
    assert len(caplog.messages) == len(lines)


def test_it_needs_neither_torchvision_nor_jax() -> None:
    """The recorder runs where only torch, NumPy and safetensors are installed."""
    allowed = ["torch", "numpy", "safetensors", "torch_ref"]
    code = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torchvision", "jax", "jax_impl", "matplotlib", "tensorflow_datasets", "scipy"):
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
from torch_ref import record
print(record.save.__module__, {allowed!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch_ref.record")


def test_a_second_recording_replaces_the_first(tmp_path: Path) -> None:
    mlp().save(tmp_path / "new", steps=1)
    assert len(mlp().save(tmp_path / "new", steps=2)["trajectory"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert len(read(tmp_path / "new")["files"]) == 4
    assert json.loads((tmp_path / "new" / "record.json").read_text(encoding="utf-8"))["side"] == "torch"


@pytest.mark.slow
def test_a_resnet_makes_a_record_of_at_most_200_mb(tmp_path: Path) -> None:
    """ResNet-18 at 64x64 with a batch of 8, and an optimizer with two moments. It takes 28 s on one core."""
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    batches = [(torch.randn(8, 3, 64, 64), torch.randint(0, 10, (8,))) for _ in range(3)]
    program = Program(torchvision.models.resnet18(num_classes=10), classify, batches, torch.optim.Adam)
    found = program.save(tmp_path / "new", steps=10)
    assert sum(path.stat().st_size for path in (tmp_path / "new").iterdir()) < 200e6
    assert len(found["modules"]) == 68
    assert all(module["calls"] for module in found["modules"])
    for call in found["forward"]["train"]["free"]:  # what goes into a ReLU is not what it made of it
        if call["module"].endswith("relu"):
            assert call["inputs"][0].value.min() < 0 <= call["outputs"][0].value.min()
