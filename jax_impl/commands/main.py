"""Runs the command that the arguments name, and turns errors into exit codes."""

import io
import sys

from jax_impl.commands import cluster
from jax_impl.commands.options import rbm, study, train
from jax_impl.commands.options.parser import Data, parse
from jax_impl.commands.stopping import Stop
from jax_impl.commands.terminal import complain, discard_output, end
from jax_impl.errors import UserError


def main() -> int:
    """Run the command line and return its exit code, as docs/troubleshooting.md lists them."""
    debug = "--debug" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the locale cannot encode
    stop = Stop(end=end, log=complain)
    try:
        with stop.catching():
            run(sys.argv[1:], stop)
    except UserError as error:
        if debug:
            raise
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as error:
        complain(f"interrupted{f': {error}' if error.args else ''}")
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # the reader of the output has closed it
        discard_output()
        return 1
    return 0


def run(arguments: list[str], stop: Stop) -> None:
    """Check the arguments, then import and run the command, so that wrong arguments are reported without JAX."""
    command = parse(arguments)
    if isinstance(command, Data):
        from jax_impl.commands import data

        data.run(command)
        return
    stop.after(getattr(command, "max_seconds", None))
    match command:
        case train.Train():
            recipe, others = train.recipe_of(command), cluster.cluster_of(command)
            _keep_compiled_programs()
            from jax_impl.commands.train import run as run_train

            with cluster.joined(others):
                run_train(command, recipe, stop)
        case train.Evaluate():
            evaluated = train.evaluated_recipe(command)
            _keep_compiled_programs()
            from jax_impl.commands import evaluate

            evaluate.run(command, evaluated)
        case study.Study():
            study.check(command)
            others = cluster.cluster_of(command)
            _keep_compiled_programs()
            from jax_impl.commands.study import plan
            from jax_impl.commands.study import run as run_study

            planned = plan(command)
            with cluster.joined(others):
                run_study(command, planned, stop)
        case rbm.TrainRbm() | rbm.TrainDbn():
            sizes, settings = rbm.sizes(command), rbm.settings(command)
            _keep_compiled_programs()
            from jax_impl.commands.rbm import run as run_rbm

            run_rbm(command, sizes, settings, stop)


def _keep_compiled_programs() -> None:
    """Let JAX keep compiled programs on disk."""
    from jax_impl.commands.compilation_cache import use_cache

    use_cache()
