"""Before the routes: counts requests, refuses too many, turns faults into answers."""

import asyncio
import json
import logging
import time
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mammo_core.errors import MammoError
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import RefusedError, told
from mammo_core.serving.measures import Measures

_LOG = logging.getLogger("mammo.serving")
#: Always answered: a busy server is alive.
_FREE: Final = ("/v2/health/live", "/v2/health/ready", "/metrics")
#: How long the rest of a refused body is still taken (seconds). A client that sends first and
#: looks then would meet a broken connection in place of the answer.
_LINGER_S: Final = 5.0


class Gate:
    """ASGI middleware.

    Args:
        app: What answers.
        config: The limits.
        measures: What is counted.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig, measures: Measures) -> None:
        self._app, self._config, self._measures = app, config, measures
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        body = _Body(receive)
        self._count(1)
        try:
            if self._in_flight > self._config.max_requests:
                content = {"error": "Too many requests wait. Try again soon."}
                await _answer(body, noted, 503, content, {"retry-after": "1"})
            else:
                await self._answered(scope, body, noted)
        finally:
            self._count(-1)
        route = getattr(scope.get("route"), "path", "other")
        self._measures.requests.labels(route, status).inc()
        self._measures.seconds.labels(route).observe(time.monotonic() - started)

    async def _answered(self, scope: Scope, body: "_Body", send: Send) -> None:
        try:
            await self._app(scope, body.receive, send)
        except RefusedError as error:
            await _answer(body, send, error.status, error.content)
        except MammoError as error:
            await _answer(body, send, 422, told(error))
        except ClientDisconnect:
            await _answer(body, send, 499, {"error": "The client went away."})
        except Exception as error:
            # The kind only: a text may quote what is in a file.
            route = getattr(scope.get("route"), "path", "other")
            _LOG.error("%s %s: %s", scope["method"], route, type(error).__name__)
            await _answer(body, send, 500, {"error": "The server failed at this request."})

    def _count(self, by: int) -> None:
        self._in_flight += by
        self._measures.in_flight.set(self._in_flight)


class _Body:
    """What a client sends, and whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        """ASGI's receive."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self.ended = True
        return message


async def _answer(
    body: _Body,
    send: Send,
    status: int,
    content: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    """Send an answer, and then take what the client still sends for a while."""
    data = json.dumps(content).encode()
    sent = {"content-type": "application/json", "content-length": str(len(data))}
    if not body.ended:  # what is left of a body cannot be told from a next request
        sent["connection"] = "close"
    sent |= headers or {}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
    )
    await send({"type": "http.response.body", "body": data, "more_body": True})
    end = asyncio.get_running_loop().time() + _LINGER_S
    while not body.ended and (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait_for(body.receive(), left)
        except TimeoutError:
            break
    await send({"type": "http.response.body", "body": b"", "more_body": False})
