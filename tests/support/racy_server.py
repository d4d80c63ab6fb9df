"""A small S3 server whose conditional writes are as they should be, or are not."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What the server does: `exact` decides and writes under one lock. `racy` looks, then writes, as
#: SeaweedFS before 4.17 and VersityGW's older POSIX backend do; `racy-match` only for If-Match.
#: `blind` ignores conditions.
FAULTS = ("exact", "racy", "racy-match", "blind")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def version_string(self) -> str:
        return "SmallS3 1.0"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        absent, match = self.headers.get("If-None-Match"), self.headers.get("If-Match")
        fault = self.server.fault
        racy = fault == "racy" or (fault == "racy-match" and match is not None)
        with nullcontext() if racy else self.server.lock:
            stored = self.server.objects.get(self.path)
            fails = absent == "*" and stored is not None
            fails |= match is not None and (stored is None or f'"{_etag(stored)}"' != match)
            if fault == "blind":
                fails = False
            if racy and not fails and (absent or match):
                self.server.looked()  # others look in the meantime, too
            if not fails:
                self.server.objects[self.path] = data
        if fails:
            self._answer(412, _error("PreconditionFailed"))
        else:
            self._answer(200, etag=_etag(data))

    def do_GET(self) -> None:
        if "location" in self.path:
            self._answer(200, b"<LocationConstraint>us-east-1</LocationConstraint>")
            return
        data = self.server.objects.get(self.path)
        if data is None:
            self._answer(404, _error("NoSuchKey"))
        else:
            self._answer(200, data, _etag(data))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.server.objects.pop(self.path, None)
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"", etag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Last-Modified", formatdate(usegmt=True))
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.lock = threading.Lock()
        self.objects: dict[str, bytes] = {}
        self._meeting = threading.Barrier(2)

    def looked(self) -> None:
        """Wait a second for another request that has looked; there may be none."""
        try:
            self._meeting.wait(timeout=1)
        except threading.BrokenBarrierError:
            self._meeting.reset()


@contextmanager
def racy_server(fault: str) -> Iterator[str]:
    """Run a server with a fault (`FAULTS`); yields its endpoint."""
    server = _Server(fault)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _etag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
