"""A mirror on the loopback address, serving MNIST's .gz files whole, or in one of the ways in which mirrors fail."""

import gzip
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from jax_impl import data

# The tests hold MNIST unpacked, and zlib cannot remake the canonical .gz files byte for byte (they come from an older
# packer). So where a download is to be accepted, a test registers the checksums of what is served here.


WAYS = {
    "missing": "404",
    "page": "an error page with status 200",
    "alter": "a wrong byte",
    "cut": "the connection cut in the middle",
    "silent": "no answer",
    "stall": "no more after the middle",
    "drip": "a trickle after the middle",
    "slow": "the right bytes, slowly",
    "circle": "redirected in a circle",
}
PAGE = b"<html><body>Sorry, down for maintenance.</body></html>"


@dataclass
class Mirror:
    """What is served by file name, how it is spoiled, and what was asked.

    Another client may ask to be served badly in its own way, by the address `url/WAY`.
    """

    url: str
    content: dict[str, bytes]
    spoil: dict[str, str] = field(default_factory=dict)  # file name -> one of WAYS
    asked: list[str] = field(default_factory=list)  # method and file name
    paths: list[str] = field(default_factory=list)  # method and path
    over: threading.Event = field(default_factory=threading.Event)


def packed(folder: Path) -> dict[str, bytes]:
    """The four files of a folder, packed at the fastest level."""
    return {f"{name}.gz": gzip.compress((folder / name).read_bytes(), 1, mtime=0) for name in data.SHA256}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its mirror is to."""

    mirror: Mirror

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        *ways, name = self.path.strip("/").split("/")
        how = ways[0] if ways else self.mirror.spoil.get(name, "")
        self.mirror.asked.append(f"{self.command} {name}")
        self.mirror.paths.append(f"{self.command} {self.path}")
        if name not in self.mirror.content or how == "missing":
            self.send_error(404)
            return
        if how == "silent":
            self.mirror.over.wait()
            return
        sent = bytearray(PAGE if how == "page" else self.mirror.content[name])
        self.send_response(302 if how == "circle" else 200)
        if how == "circle":
            self.send_header("Location", self.path)
            del sent[:]
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if how == "alter":
            sent[len(sent) // 2] ^= 0xFF
        if body:
            with suppress(ConnectionError):  # who asked has given up, or wants to see only where it is redirected
                self.write(bytes(sent), how)

    def write(self, sent: bytes, how: str) -> None:
        """Send the content, in its own time."""
        half = len(sent) // 2
        if how in {"cut", "stall", "drip"}:
            self.wfile.write(sent[:half])
            while how != "cut" and half < len(sent) and not self.mirror.over.wait(0.2):
                if how == "drip":  # the second half of the images would take four minutes
                    self.wfile.write(sent[half : half + 4096])
                    half += 4096
        elif how == "slow":
            for part in range(10):
                self.wfile.write(sent[part * len(sent) // 10 : (part + 1) * len(sent) // 10])
                time.sleep(0.1)
        else:
            self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(content: dict[str, bytes], **spoil: str) -> Iterator[Mirror]:
    """Serve `content` until the block ends."""

    class Ours(Handler):
        mirror = Mirror("", content, dict(spoil))

    server, mirror = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ours), Ours.mirror
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
