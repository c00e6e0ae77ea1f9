"""`python -m jax_impl`: see `commands`."""

import traceback

from jax_impl.commands.main import main
from jax_impl.commands.terminal import end

if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    if code:
        end(code)  # without exit handlers, which wait for other processes and for threads
