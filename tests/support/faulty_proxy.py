"""A proxy in front of a real S3 server that spoils every n-th request."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_BUSY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>busy</Message></Error>'


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on, and spoils every n-th of them that can be spoilt so.

    `fail`: 503, unseen by the server. `lost`: done by the server, but the connection ends
    without an answer. `slow`: seconds pass before the answer. `truncated`: half the body, then
    the end of the connection. `flipped`: one byte of the body is another. `down`: all fail.
    """

    daemon_threads = True

    def __init__(self, server: str, fault: str, every: int = 20) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.place = urlsplit(server).netloc
        self.fault, self.every = fault, every
        self.done: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spoils(self, able: bool) -> bool:
        with self.lock:
            self.done["requests"] += 1
            if not able:
                return False
            self.done["able"] += 1
            spoilt = self.fault == "down" or self.done["able"] % self.every == 0
            self.done["spoilt"] += spoilt
            return spoilt

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault
        reading = self.command == "GET" and "?" not in self.path
        spoilt = self.server.spoils(fault not in ("truncated", "flipped") or reading)
        if spoilt and fault in ("fail", "down"):
            self._answer(503, [("Content-Type", "application/xml")], _BUSY)
            return
        upstream = http.client.HTTPConnection(self.server.place, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # the host too: it is signed
            if name.lower() != "expect":
                upstream.putheader(name, value)
        upstream.endheaders(body)
        found = upstream.getresponse()
        data = found.read()
        upstream.close()
        if spoilt and fault == "slow":
            time.sleep(1.0)
        if spoilt and fault == "lost":
            self.close_connection = True
            self.connection.close()
            return
        told = [item for item in found.getheaders() if item[0].lower() != "transfer-encoding"]
        if spoilt and fault == "flipped" and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._answer(found.status, told, data, cut=spoilt and fault == "truncated")

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, *_: object) -> None:
        """Nothing: thousands of requests."""


@contextmanager
def faulty_proxy(server: str, fault: str, every: int = 20) -> Iterator[FaultyProxy]:
    """Run the proxy for the length of a block."""
    with FaultyProxy(server, fault, every) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
