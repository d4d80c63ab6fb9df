"""A proxy in front of a real S3 server that makes every n-th request fail."""

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
    """Forwards requests, and injects one kind of fault into every n-th that can have it.

    `fail`: 503, and the server never gets the request. `lost`: the server does it, but the
    connection ends without an answer. `slow`: the answer is late. `truncated`: half the body, then
    the end of the connection. `flipped`: one byte of the body is changed. `down`: all fail.
    """

    daemon_threads = True

    def __init__(self, server: str, fault: str, every: int = 20) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(server).netloc
        self.fault, self.every = fault, every
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_is_faulty(self, eligible: bool) -> bool:
        """Count a request; returns whether it gets the fault."""
        with self.lock:
            self.counts["requests"] += 1
            if not eligible:
                return False
            self.counts["eligible"] += 1
            faulty = self.fault == "down" or self.counts["eligible"] % self.every == 0
            self.counts["faulty"] += faulty
            return faulty

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault
        reading = self.command == "GET" and "?" not in self.path
        faulty = self.server.next_is_faulty(fault not in ("truncated", "flipped") or reading)
        if faulty and fault in ("fail", "down"):
            self._answer(503, [("Content-Type", "application/xml")], _BUSY)
            return
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # the host too: it is signed
            if name.lower() != "expect":
                upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        data = response.read()
        upstream.close()
        if faulty and fault == "slow":
            time.sleep(1.0)
        if faulty and fault == "lost":
            self.close_connection = True
            self.connection.close()
            return
        headers = [item for item in response.getheaders() if item[0].lower() != "transfer-encoding"]
        if faulty and fault == "flipped" and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._answer(response.status, headers, data, cut=faulty and fault == "truncated")

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

    # The names that http.server calls.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815

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
