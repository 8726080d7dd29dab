"""Local HTTP server that misbehaves on request."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class FileServer:
    """State and behaviour of the server.

    Attributes:
        address: its root, without a slash at the end.
        files: content by path.
        plans: by path, what to do with the next requests, one entry each: a status to refuse with, ``("cut", n)`` to
            break off after n bytes of the body, ``("retry", status, seconds)`` to refuse with Retry-After.
        requests: path, Range and Authorization headers of every request so far.
        ranges: whether Range requests are honoured.
        page_type: media type of paths that end in a slash.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    plans: defaultdict[str, list] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    ranges: bool = True
    page_type: str = "text/html"


@contextmanager
def serve() -> Iterator[FileServer]:
    """Run a server for as long as the context lasts."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.requests.append((self.path, wanted, self.headers.get("Authorization")))
            plan = server.plans[self.path].pop(0) if server.plans[self.path] else None
            if isinstance(plan, int) or (isinstance(plan, tuple) and plan[0] == "retry"):
                self.send_response(plan if isinstance(plan, int) else plan[1])
                if isinstance(plan, tuple):
                    self.send_header("Retry-After", str(plan[2]))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = server.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = 0
            if wanted and server.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.send_header(
                "Content-Type", server.page_type if self.path.endswith("/") else "application/octet-stream"
            )
            self.end_headers()
            self.wfile.write(body[: plan[1]] if plan else body)
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
