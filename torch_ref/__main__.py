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
    except (UserError, ImportError, FileNotFoundError) as error:
        if debug or not (told := in_words(error)):
            raise
        complain(f"error: {told}")
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt as error:
        complain(f"interrupted{f': {error}' if error.args else ''}")
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # whoever read the lines has seen enough
        drop_output()
        return 1
    return 0


def in_words(error: Exception) -> str:
    """Return what a person can do about an error, or nothing if it is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in {"torch", "torchvision"}:
        return f"{error.name} is not installed: run make train-torch, or pip install -e '.[torch]'"
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return "torch needs a temporary folder that can be written: make room, or set TMPDIR to one"
    return ""


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
    say(f"Accuracy: {train.accuracy(network, mnist_test, torch.device('cpu')):.4f}")


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


def say(text: str) -> None:
    """Print a line to standard output, at once.

    Raises:
        BrokenPipeError: Nobody reads it.
        UserError: It cannot be written, as to a file on a full disk.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise UserError(f"cannot write to standard output: {error.strerror}; let it go elsewhere") from error


def drop_output() -> None:
    """Let what cannot be written any more go nowhere: Python would try it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end(code: int) -> None:
    """End this process at once."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
