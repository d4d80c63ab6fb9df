"""Health on a port and in a thread of its own, whatever the other requests do."""

import json
import threading
import time
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import http_error_content
from mammo_core.serving.transport.connections import Connections, ListeningSocket
from mammo_core.serving.transport.server import Server

#: After this time without a turn of its event loop, the server is not alive (seconds).
_STUCK_S: Final = 60.0
_LIMITS: Final = ServeConfig(
    max_requests=63, max_connections=64, header_s=5, keep_alive_s=5, grace_s=1
)


class HealthServer:
    """Answers `/v2/health/live`, `/v2/health/ready` and `/metrics`, without authentication.

    Args:
        address: Address and port to listen at.
        metrics: Returns the metrics for Prometheus.

    Raises:
        OSError: The address is in use.
    """

    def __init__(self, address: tuple[str, int], metrics: Callable[[], bytes]) -> None:
        connections = Connections(_LIMITS.max_connections)
        self._listener = ListeningSocket(address, connections)
        self.port: int = self._listener.getsockname()[1]
        self._metrics = metrics
        self._served: Server | None = None
        self._server = Server(self._respond, self._listener, connections, _LIMITS)
        self._thread = threading.Thread(target=self._server.run, name="health", daemon=True)

    def start(self) -> None:
        """Start to answer: alive, not ready."""
        self._thread.start()

    def watch(self, server: Server) -> None:
        """Report on a server: ready when its port is open, until it stops."""
        self._served = server

    def close(self) -> None:
        """Stop to answer."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_LIMITS.grace_s + 5)
        self._listener.close()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError  # uvicorn takes it that there is no lifespan
        content_type, status = b"application/json", 200
        if scope["method"] not in ("GET", "HEAD"):
            status = 405
            body = json.dumps(http_error_content(405, scope["method"], "GET")).encode()
        elif scope["path"] in ("/v2/health/live", "/v2/health/ready"):
            live, ready = self._health()
            status = 200 if (live if scope["path"].endswith("live") else ready) else 503
            body = json.dumps({"live": live, "ready": ready}).encode()
        elif scope["path"] == "/metrics":
            content_type, body = b"text/plain; version=0.0.4", self._metrics()
        else:
            status, body = 404, json.dumps(http_error_content(404)).encode()
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _health(self) -> tuple[bool, bool]:
        """Return whether the server is alive and whether it accepts requests."""
        server = self._served
        if server is None:  # the model is being loaded
            return True, False
        live = not server.started or time.monotonic() - server.ticked < _STUCK_S
        return live or server.should_exit, live and server.started and not server.should_exit
