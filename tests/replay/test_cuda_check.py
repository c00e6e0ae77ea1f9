"""The file of CUDA's draws: it holds every case, and what it holds is whole."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.replay import cuda_check

FILE = Path(__file__).with_name("cuda_draws.safetensors")


@pytest.fixture(scope="module")
def recorded() -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    with safe_open(FILE, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["cases"])  # noqa: SIM118


def digest(values: torch.Tensor) -> str:
    return hashlib.sha256(values.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def test_the_file_has_every_case(recorded: tuple[dict[str, torch.Tensor], list[dict[str, object]]]) -> None:
    tensors, cases = recorded
    assert [(case["expression"], case["n"], case["seed"]) for case in cases] == list(cuda_check.cases())
    assert set(tensors) == {str(number) for number in range(len(cases))}
    assert not [case for case in cases if "refused" in case]


def test_what_the_file_holds_whole_has_its_checksum(
    recorded: tuple[dict[str, torch.Tensor], list[dict[str, object]]],
) -> None:
    tensors, cases = recorded
    whole = {name: values for name, values in tensors.items() if len(values) != cuda_check.SAMPLED}
    assert len(whole) > 250
    assert all(digest(values) == cases[int(name)]["sha256"] for name, values in whole.items())
    changed = whole["0"].clone()
    changed[0] += 1
    assert digest(changed) != cases[0]["sha256"]


def test_many_values_are_sampled_by_the_documented_rule() -> None:
    values = torch.arange(60_000.0)
    assert cuda_check.sampled(values)[:3].tolist() == [0, 2_654_435_761 % 60_000, 2 * 2_654_435_761 % 60_000]
    assert len(cuda_check.sampled(values)) == cuda_check.SAMPLED
    assert cuda_check.sampled(torch.ones(10, 100)).shape == (1_000,)


def test_a_draw_starts_from_its_seed() -> None:
    first = cuda_check.draw("torch.rand(n)", 5, 42)
    torch.rand(3)
    assert torch.equal(cuda_check.draw("torch.rand(n)", 5, 42), first)
    assert not torch.equal(cuda_check.draw("torch.rand(n)", 5, 43), first)


def test_without_a_cuda_device_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cuda_check.main(tmp_path / "draws.safetensors") == 1
    assert "no CUDA device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
