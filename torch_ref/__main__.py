"""The door: runs the command that `cli` parsed, prints the notebook's lines, and turns errors into exit codes."""

import contextlib
import io
import os
import sys

from torch_ref import cli, recipes, stopping
from torch_ref.errors import UserError


def main() -> int:
    """Run the command line and return its exit code."""
    debug = "--debug" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the locale cannot spell
    stop = stopping.Stop(end=end, log=complain)
    try:
        with stop.catching():
            run(stop)
    except UserError as error:
        if debug:
            raise
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as error:
        complain(f"interrupted{f': {error}' if error.args else ''}")
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # whoever read the lines has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        if debug or error.name not in {"torch", "torchvision"}:
            raise
        complain(f"error: {error.name} is not installed: run make train-torch, or pip install -e '.[torch]'")
        return 1
    return 0


def run(stop: stopping.Stop) -> None:
    """Run the command that the arguments name, until it is asked to stop."""
    match cli.parse(sys.argv[1:]):
        case cli.Train() as command:
            run_train(command, stop)
        case cli.Evaluate() as command:
            run_evaluate(command)


def run_train(command: cli.Train, stop: stopping.Stop) -> None:
    """Train a recipe; what it reaches is written also when the command is asked to stop."""
    from torch_ref import train_command

    recipe = train_command.recipe_of(command)  # what is wrong is told before anything is fetched
    stop.after(command.max_seconds)
    train_command.run(command, recipe, say, complain, stop)


def run_evaluate(command: cli.Evaluate) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images."""
    import torch

    from torch_ref import data, model, runs, train

    recipe = recipes.named(command.recipe).but(activation=command.activation)
    tensors = runs.load(command.params, recipe.layers)
    network = model.build(recipe).to(tensors["linear1.weight"].dtype)
    network.load_state_dict(tensors)
    _, mnist_test = data.load(command.data_dir, log=complain)
    print(f"Accuracy: {train.accuracy(network, mnist_test, torch.device('cpu')):.4f}")


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


def say(text: str) -> None:
    """Print a line to standard output, at once."""
    print(text, flush=True)


def end(code: int) -> None:
    """End this process at once."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
