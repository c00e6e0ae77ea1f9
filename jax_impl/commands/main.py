"""Runs the command that the arguments name, and turns errors into exit codes."""

import io
import sys

from jax_impl import recipes
from jax_impl.commands import cluster
from jax_impl.commands.compilation_cache import use_cache
from jax_impl.commands.options import rbm, study, train
from jax_impl.commands.options import recipes as recipe_options
from jax_impl.commands.options.parser import Data, parse, pointing_to_help
from jax_impl.commands.options.recipes import Recipes
from jax_impl.commands.stopping import Stop
from jax_impl.commands.terminal import complain, discard_output, end, say, say_table
from jax_impl.errors import UserError


def main() -> int:
    """Run the command line and return its exit code, as docs/running.md lists them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for paths that the locale cannot encode
    stop = Stop(end=end, log=complain)
    try:
        with stop.catching():
            run(sys.argv[1:], stop)
    except UserError as error:
        if "--debug" in sys.argv:
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
    """Check the arguments, then import and run the command, so that most wrong arguments are reported without JAX."""
    command = parse(arguments)
    with pointing_to_help(arguments[0]):
        stop.after(getattr(command, "max_seconds", None))
    match command:
        case Data():
            from jax_impl.commands import data

            data.run(command)
        case Recipes():
            say_table(recipe_options.table())
            say(f"\nall of them: {recipe_options.common()}\nthe default: {recipes.DEFAULT}")
        case train.Train():
            with pointing_to_help("train"):
                recipe = train.recipe_of(command)
                cluster.check(command)
            use_cache()
            from jax_impl.commands.train import run as run_train

            with cluster.joined(command):
                run_train(command, recipe, stop)
        case train.Evaluate():
            with pointing_to_help("evaluate"):
                train.check_names(command)
            use_cache()
            from jax_impl.commands import evaluate

            evaluate.run(command)
        case study.Study():
            with pointing_to_help("study"):
                study.check(command)
                cluster.check(command)
                use_cache()
                from jax_impl.commands import study as studies

                planned = studies.plan(command)
            with cluster.joined(command):
                studies.run(command, *planned, stop)
        case rbm.TrainRbm() | rbm.TrainDbn():
            with pointing_to_help(arguments[0]):
                sizes, settings = rbm.sizes(command), rbm.settings(command)
            use_cache()
            from jax_impl.commands.rbm import run as run_rbm

            run_rbm(command, sizes, settings, stop)
