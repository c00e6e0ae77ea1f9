"""The command `prove`: two records, and whether the port is faithful."""

import os
from pathlib import Path

from jax_impl.commands.options.prove import Prove
from jax_impl.commands.shared.terminal import complain, say, waiting
from jax_impl.parity import report, summary
from jax_impl.parity.ladder import compare_records


def run(command: Prove) -> int:
    """Print the verdict, write the report, and return the exit code: 0 if the port is faithful, otherwise 1.

    In GitHub Actions the verdict is added to the summary of the run.

    Raises:
        UserError: A record cannot be read or compared, or the report cannot be written.
    """
    with waiting("comparing the records"):
        verdict = compare_records(command.theirs, command.ours, margin=command.margin)
    if command.out is not None:
        report.write(verdict, command.out)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        summary.append(Path(path), verdict)
    say(report.as_json(verdict) if command.json else summary.text(verdict))
    if command.out is not None:
        complain(f"the report is {command.out / 'index.html'}")
    return 0 if verdict.passed else 1
