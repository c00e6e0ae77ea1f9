"""The default study on the device: its minutes, and the share of them that is not training."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.gpu_parity import WHOLE
from tests.bench.gpu_setup import Row, Settings

SMALL = ("--depths=1", "--inits=zeros,kaiming_normal", "--seeds=1", "--epochs=1", "--width=16")


def measure(settings: Settings) -> Iterator[Row]:
    """Run the command; yield its minutes. With fewer than all images it is a small study instead."""
    options = () if settings.images >= WHOLE else SMALL
    with tempfile.TemporaryDirectory() as root:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "jax_impl", "study", *options, f"--out={root}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        settings.end_in_time(process)
        said, _ = process.communicate()
        seconds = time.perf_counter() - started
        lines = Path(root, "cells.jsonl").read_text(encoding="utf-8").splitlines() if process.returncode == 0 else []
    cells = [json.loads(line) for line in lines]
    if not cells:
        yield {"failed": f"the study ended with exit status {process.returncode}: {said.strip()[-400:]}"}
        return
    training = sum(cell["training_seconds"] for cell in cells)
    yield {
        "cells": len(cells),
        "trainings": sum(len(cell["seeds"]) for cell in cells),
        "minutes": seconds / 60,
        "training": training,
        "not training": 1 - training / seconds,
    }
