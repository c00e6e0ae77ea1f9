"""The door: runs the command that `cli` parsed, prints what it returns, and turns errors into exit codes."""

import contextlib
import io
import os
import sys
import traceback
from pathlib import Path

from jax_impl import data, recipes
from jax_impl.commands import cli, cli_cluster, cli_rbm, stopping
from jax_impl.errors import UserError
from jax_impl.fetch import sources


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        code = run_command_line()
    except Exception:
        if not in_company():
            raise
        traceback.print_exc()
        code = 1
    return code


def in_company() -> bool:
    """Return whether this process is one of several."""
    distributed = sys.modules.get("jax_impl.commands.distributed")
    return distributed is not None and distributed.in_company()


def run_command_line() -> int:
    """Run the command; print the error that ends it, and return the exit code."""
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
        drop_output()
        return 1
    return 0


def run(stop: stopping.Stop) -> None:
    """Run the command that the arguments name, until it is asked to stop."""
    command = cli.parse(sys.argv[1:])
    if not isinstance(command, cli.Data):
        from jax_impl.trainer import compiling

        compiling.use_cache()
    match command:
        case cli.Train():
            run_train(command, stop)
        case cli.Evaluate():
            run_evaluate(command)
        case cli.Study():
            run_study(command, stop)
        case cli_rbm.TrainRbm() | cli_rbm.TrainDbn():
            run_machines(command, stop)
        case cli.Data():
            run_data(command)


def run_train(command: cli.Train, stop: stopping.Stop) -> None:
    """Train a recipe, alone or together with other processes."""
    from jax_impl.commands import distributed, train_command

    recipe = train_command.recipe_of(command)  # what is wrong is told before anybody is waited for
    stop.after(command.max_seconds)
    with distributed.joined(cli_cluster.cluster_of(command), give_up):
        train_command.run(command, recipe, lambda: load(command.data_dir), say, complain, stop)


def run_machines(command: cli_rbm.TrainRbm | cli_rbm.TrainDbn, stop: stopping.Stop) -> None:
    """Train an RBM, or a stack of them."""
    from jax_impl.commands import rbm_command

    command.settings(), command.sizes()  # what is wrong is told before anything is fetched
    stop.after(command.max_seconds)
    for line in rbm_command.train(command, load(command.data_dir), stop, complain):
        say(line)


def run_evaluate(command: cli.Evaluate) -> None:
    """Print the accuracy of a parameter file on the 10,000 test images."""
    import jax
    import jax.numpy as jnp

    from jax_impl import interop, train

    recipe = recipes.named(command.recipe).but(activation=command.activation)
    params = interop.load(command.params, recipe.layers)
    jax.config.update("jax_enable_x64", params["linear1"]["kernel"].dtype == "float64")
    mnist = load(command.data_dir)
    share = train.accuracy(params, jnp.asarray(mnist.test_images), jnp.asarray(mnist.test_labels), recipe.activation)
    say(f"Accuracy: {share:.4f}")


def run_study(command: cli.Study, stop: stopping.Stop) -> None:
    """Run a grid or presets, alone or together with other processes."""
    from jax_impl.commands import distributed, study_command

    asked = study_command.asked(command)  # what is wrong is told before anybody is waited for
    stop.after(command.max_seconds)
    with distributed.joined(cli_cluster.cluster_of(command), give_up):
        study_command.run(command, asked, lambda: load(command.data_dir), say, complain, stop)


def give_up(word: str) -> None:
    """End this process, in whatever it hangs, since another one is gone."""
    complain(f"error: {word}; start all of them again")
    end(1)


def end(code: int) -> None:
    """End this process at once, without waiting for its threads or for other processes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def run_data(command: cli.Data) -> None:
    """Say where MNIST stands and which source gave it."""
    source = ensure(command.data_dir, command.mirror)
    say(f"MNIST is in {data.raw_folder(command.data_dir)}, four files verified; taken from {source}")


def load(data_dir: Path | None) -> data.Mnist:
    """Return MNIST, fetched first if need be."""
    ensure(data_dir)
    return data.load(data_dir)


def ensure(data_dir: Path | None, mirror: str | None = None) -> str:
    """Make MNIST stand in its folder; what went wrong on the way goes to standard error."""
    wanted = sources.default(mirror, progress=sys.stderr.isatty())
    return data.ensure(data_dir, sources=wanted, log=complain)


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


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    exit_code = main()
    if exit_code:  # not to wait for other processes, nor for a library's threads that wait for what failed
        end(exit_code)
