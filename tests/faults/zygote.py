"""Processes that begin where the libraries are imported already: forked from one that has done so.

Importing takes half of a small training, and `make faults` makes a thousand of them. Each is a process as any other,
which runs the package's `__main__`; the quick form starts all of them by `python -m`.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PRELOADED = {
    "jax_impl": (
        *(f"jax_impl.commands.{name}" for name in ("train", "evaluate", "study", "rbm", "shared.compilation_cache")),
        *("jax_impl.study.page", "jax_impl.figures.curve"),
    ),
    "torch_ref": ("torch_ref.commands",),
}


class Forked:
    """A forked process, with those methods of `subprocess.Popen` that are in use."""

    def __init__(self, pid: int, out: int, err: int, end: int) -> None:
        self.pid, self.end = pid, end
        self.stdout, self.stderr = (os.fdopen(fd, encoding="utf-8", errors="backslashreplace") for fd in (out, err))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, once there is one."""
        if self.returncode is None and select.select([self.end], [], [], 0)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(os.read(self.end, 20)))
            os.close(self.end)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return all that was written, which is less than a pipe holds, once the process is over."""
        watch = threading.Timer(timeout, self.kill)
        watch.start()
        out, err = self.stdout.read(), self.stderr.read()
        self.stdout.close()
        self.stderr.close()
        select.select([self.end], [], []) if self.returncode is None else None
        in_time = watch.is_alive()
        watch.cancel()
        self.poll()
        if not in_time:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return out, err


class Zygote:
    """The process from which those of a package are forked."""

    def __init__(self, package: str) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lock = threading.Lock()
        words = [sys.executable, "-m", "tests.faults.zygote", package, str(theirs.fileno())]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(words, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()

    def start(self, words: Sequence[str], environment: Mapping[str, str]) -> Forked:
        """Fork a process that runs the package's command line."""
        pipes = [os.pipe() for _ in range(3)]
        request = json.dumps({"words": list(words), "environment": dict(environment)}).encode()
        with self.lock:
            socket.send_fds(self.channel, [request], [write for _, write in pipes])
            pid = int(self.channel.recv(20))
        for _, write in pipes:
            os.close(write)
        return Forked(pid, *(read for read, _ in pipes))

    def close(self) -> None:
        self.channel.close()
        self.process.wait()


@contextlib.contextmanager
def opened() -> Iterator[dict[str, Zygote]]:
    """Have a zygote of each package for as long as the context lasts."""
    zygotes = {package: Zygote(package) for package in PRELOADED}
    try:
        yield zygotes
    finally:
        for zygote in zygotes.values():
            zygote.close()


def serve(package: str, channel: socket.socket) -> None:
    """Fork what is asked for, and tell how it ended; in the forked process, run the package."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who asks, and ends this one by closing the channel
    for name in PRELOADED[package]:
        importlib.import_module(name)
    warnings.filterwarnings("ignore", "os.fork")  # JAX has no threads yet: nothing was computed
    ends: dict[int, int] = {}
    while True:
        if select.select([channel], [], [], 0.01)[0]:
            request, fds, *_ = socket.recv_fds(channel, 2**16, 3)
            if not request:
                return
            out, err, end = fds
            if (pid := os.fork()) == 0:
                channel.close()
                for fd in (end, *ends.values()):
                    os.close(fd)
                become(package, json.loads(request), out, err)
                return
            channel.send(str(pid).encode())
            ends[pid] = end
            os.close(out)
            os.close(err)
        while ends:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            os.write(ends[pid], str(status).encode())
            os.close(ends.pop(pid))


def become(package: str, request: Mapping[str, Any], out: int, err: int) -> None:
    """Run the package's command line in this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd, number in ((out, 1), (err, 2)):
        os.dup2(fd, number)
        os.close(fd)
    # What Python made for the zygote's own files would take these pipes for such.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, encoding="utf-8", closefd=False) for number in (1, 2))
    os.environ |= request["environment"]
    sys.argv = [package, *request["words"]]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
