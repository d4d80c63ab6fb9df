"""Middleware that counts requests, limits their number and converts errors into responses."""

import asyncio
import logging
import time
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mammo_core.errors import MammoError
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RequestError, error_content
from mammo_core.serving.server_metrics import ServerMetrics

_LOG = logging.getLogger("mammo.serving")
#: Not limited: a busy server is alive.
_UNLIMITED: Final = ("/v2/health/live", "/v2/health/ready", "/metrics")
#: How long the rest of a rejected body is still read (seconds). A client that reads only after
#: sending would otherwise get a broken connection instead of the response.
_LINGER_S: Final = 5.0


class RequestLimiter:
    """ASGI middleware that limits the number of concurrent requests.

    Args:
        app: The application.
        config: The limits.
        metrics: The metrics to update.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig, metrics: ServerMetrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in _UNLIMITED:
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        body = _Body(receive)
        self._count(1)
        try:
            if self._in_flight > self._config.max_requests:
                content = {"error": "Too many requests are waiting. Try again soon."}
                await _send_json(body, send_and_note_status, 503, content, {"retry-after": "1"})
            else:
                await self._respond(scope, body, send_and_note_status)
        finally:
            self._count(-1)
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(time.monotonic() - started)

    async def _respond(self, scope: Scope, body: "_Body", send: Send) -> None:
        try:
            await self._app(scope, body.receive, send)
        except RequestError as error:
            await _send_json(body, send, error.status, error.content)
        except MammoError as error:
            await _send_json(body, send, 422, error_content(error))
        except ClientDisconnect:
            await _send_json(body, send, 499, {"error": "The client disconnected."})
        except Exception as error:
            # The type only: the message may quote the content of a file.
            route = getattr(scope.get("route"), "path", "other")
            _LOG.error("%s %s: %s", scope["method"], route, type(error).__name__)
            await _send_json(body, send, 500, {"error": "Internal server error."})

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight.set(self._in_flight)


class _Body:
    """The body that a client sends, and whether it is complete."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False

    async def receive(self) -> Message:
        """Receive the next message (ASGI)."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self.complete = True
        return message


async def _send_json(
    body: _Body,
    send: Send,
    status: int,
    content: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    """Send a response and then, for a while, read what the client still sends."""
    response = JSONResponse(content, status, headers)
    if not body.complete:  # the rest of the body is indistinguishable from the next request
        response.headers["connection"] = "close"

    start = {"type": "http.response.start", "status": status, "headers": response.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await _drain(body)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(body: _Body) -> None:
    end = asyncio.get_running_loop().time() + _LINGER_S
    while not body.complete and (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait_for(body.receive(), left)
        except TimeoutError:
            break
