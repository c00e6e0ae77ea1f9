"""`python -m jax_impl`: see `commands`."""

import sys
import traceback

if __name__ == "__main__":
    try:
        from jax_impl.commands.main import main
        from jax_impl.commands.shared.terminal import end
    except ModuleNotFoundError as error:  # of a package that the command line needs
        sys.exit(f"error: {error.name} is not installed: run make train-jax, or pip install -e .")
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        code = main()
    except Exception:  # with --debug
        traceback.print_exc()
        code = 1
    # Without exit handlers, which wait for other processes and for threads. Python's own end takes half a second.
    end(code)
