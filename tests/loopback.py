"""A mirror on the loopback address, serving MNIST's .gz files whole, cut, altered, or not at all."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from jax_impl import data

# The tests hold MNIST unpacked, and zlib cannot remake the canonical .gz files byte for byte (they come from an older
# packer). So where a download is to be accepted, a test registers the checksums of what is served here.


@dataclass
class Mirror:
    """What is served by file name, how it is spoiled, and what was asked."""

    url: str
    content: dict[str, bytes]
    spoil: dict[str, str] = field(default_factory=dict)  # file name -> cut | alter | missing
    asked: list[str] = field(default_factory=list)


def packed(folder: Path) -> dict[str, bytes]:
    """The four files of a folder, packed at the fastest level."""
    return {f"{name}.gz": gzip.compress((folder / name).read_bytes(), 1, mtime=0) for name in data.SHA256}


@contextmanager
def serve(content: dict[str, bytes], **spoil: str) -> Iterator[Mirror]:
    """Serve `content` until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            name = self.path.rsplit("/", 1)[-1]
            how = mirror.spoil.get(name)
            mirror.asked.append(f"{self.command} {name}")
            if name not in mirror.content or how == "missing":
                self.send_error(404)
                return
            sent = bytearray(mirror.content[name])
            self.send_response(200)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            if how == "cut":
                del sent[len(sent) // 2 :]
            elif how == "alter":
                sent[len(sent) // 2] ^= 0xFF
            if body:
                with suppress(ConnectionError):  # torchvision opens each address twice, the first time to see redirects
                    self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror = Mirror(f"http://127.0.0.1:{server.server_port}", content, dict(spoil))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
