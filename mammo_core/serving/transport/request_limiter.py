"""Middleware around every request: who sends it, how many there are, what it leads to."""

import asyncio
import logging
import math
import re
import secrets
import time
from collections import Counter
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mammo_core.errors import MammoError
from mammo_core.serving.config import ServeConfig
from mammo_core.serving.faults import (
    HTTP_METHODS,
    RequestError,
    error_content,
    internal_error_content,
)
from mammo_core.serving.server_metrics import ServerMetrics
from mammo_core.serving.transport.access_log import AccessLog
from mammo_core.serving.transport.authentication import Authenticator
from mammo_core.serving.transport.hosts import require_allowed_host

_LOG = logging.getLogger("mammo.serving")
#: Open to anyone and not limited: a busy server is alive.
_HEALTH: Final = ("/v2/health/live", "/v2/health/ready")
#: Not limited.
_METRICS: Final = "/metrics"
#: How long the rest of a rejected body is still read (seconds). A client that reads only after
#: sending would otherwise get a broken connection instead of the response.
_LINGER_S: Final = 5.0
#: The absolute form of a target (RFC 9112 3.2.2): host and path.
_ABSOLUTE: Final = re.compile(r"(?i:https?)://([^/]*)(.*)", re.DOTALL)
#: Share of the requests that a single client may have in progress.
_CLIENT_SHARE: Final = 0.75


class RequestLimiter:
    """ASGI middleware: host, authentication, number of concurrent requests, errors, log, metrics.

    Args:
        app: The application.
        config: The limits.
        metrics: The metrics to update.
        log: The log of requests.
        authenticator: Recognizes clients; None to serve anyone.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: ServeConfig,
        metrics: ServerMetrics,
        log: AccessLog,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._app, self._config, self._metrics, self._log = app, config, metrics, log
        self._authenticator = authenticator
        self._in_flight: Counter[str] = Counter()
        self._most_of_client = math.ceil(_CLIENT_SHARE * config.max_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["mammo.authority"], scope["path"] = _split_target(scope["path"])
        body, started = _Body(receive), time.monotonic()
        answer = _Answer(send)
        await self._respond(scope, body, answer)
        seconds = time.monotonic() - started
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, answer.status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        self._log.write(
            request=answer.request_id,
            method=scope["method"] if scope["method"] in HTTP_METHODS else "other",
            route=route,
            status=answer.status,
            seconds=round(seconds, 3),
            received_bytes=body.size,
        )

    async def _respond(self, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        try:
            if scope["path"] in _HEALTH:
                await self._app(scope, body.receive, answer.send)
            else:
                await self._respond_to_client(scope, body, answer)
        except RequestError as error:
            await _send_json(body, answer, error.status, error.content, error.headers)
        except MammoError as error:
            await _send_json(body, answer, 422, error_content(error))
        except ClientDisconnect:
            answer.status = 499  # nobody reads a response
        except asyncio.CancelledError:
            # The end of the grace period.
            stop = _stopping_error()
            await _send_json(body, answer, stop.status, stop.content, stop.headers, linger_s=0)
        except Exception as error:
            # The type only: the message may quote the content of a file.
            route = getattr(scope.get("route"), "path", "other")
            _LOG.error("%s: %s", route, type(error).__name__)
            await _send_json(body, answer, 500, internal_error_content())

    async def _respond_to_client(self, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host")
        require_allowed_host(host and host.decode("latin-1"), self._config.allowed_hosts)
        if scope["mammo.authority"] is not None:
            require_allowed_host(scope["mammo.authority"], self._config.allowed_hosts)
        # Without authentication, the address is the best that is known.
        client = str((scope.get("client") or ("",))[0])
        if self._authenticator is not None:
            authorization = headers.get(b"authorization")
            client = self._authenticator.require_client(
                authorization and authorization.decode("latin-1")
            )
        scope["mammo.client"] = client
        if scope["path"] == _METRICS:
            await self._app(scope, body.receive, answer.send)
            return
        self._count(client, 1)
        try:
            if self._in_flight.total() > self._config.max_requests:
                raise _too_many_error(f"at most {self._config.max_requests} requests at a time")
            if self._in_flight[client] > self._most_of_client:
                raise _too_many_error(f"at most {self._most_of_client} requests of a client")
            await self._app(scope, body.receive, answer.send)
        except RequestError as error:
            await _send_json(body, answer, error.status, error.content, error.headers)
        finally:
            self._count(client, -1)

    def _count(self, client: str, change: int) -> None:
        self._in_flight[client] += change
        if not self._in_flight[client]:
            del self._in_flight[client]
        self._metrics.in_flight.set(self._in_flight.total())


class _Body:
    """The body that a client sends: whether it is complete, and its size in bytes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False
        self.size = 0

    async def receive(self) -> Message:
        """Receive the next message (ASGI)."""
        message = await self._receive()
        self.size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            self.complete = True
        return message


class _Answer:
    """The response to a request: its status and its random id."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.request_id = secrets.token_hex(8)

    async def send(self, message: Message) -> None:
        """Send a message (ASGI)."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [
                *message.get("headers", []),
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
            ]
            message = {**message, "headers": headers}
        await self._send(message)


async def _send_json(
    body: _Body,
    answer: _Answer,
    status: int,
    content: dict[str, Any],
    headers: dict[str, str] | None = None,
    linger_s: float = _LINGER_S,
) -> None:
    """Send a response and then, for a while, read what the client still sends."""
    if answer.status:
        return  # a response has begun
    response = JSONResponse(content, status, headers)
    if not body.complete:  # the rest of the body is indistinguishable from the next request
        response.headers["connection"] = "close"

    start = {"type": "http.response.start", "status": status, "headers": response.raw_headers}
    await answer.send(start)
    await answer.send({"type": "http.response.body", "body": response.body, "more_body": True})
    await _drain(body, linger_s)
    await answer.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(body: _Body, linger_s: float) -> None:
    end = asyncio.get_running_loop().time() + linger_s
    while not body.complete and (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait_for(body.receive(), left)
        except TimeoutError:
            break


def _split_target(target: str) -> tuple[str | None, str]:
    """Return the host, if the target has one, and the path of a request.

    A path has no slash at its end: `/v2/` is `/v2`, without a redirect.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    host, path = absolute.groups() if absolute is not None else (None, target)
    return host, path.rstrip("/") or "/"


def _too_many_error(expected: str) -> RequestError:
    return RequestError(
        503,
        "Too many requests are waiting",
        expected=expected,
        received="more",
        headers={"retry-after": "1"},
    )


def _stopping_error() -> RequestError:
    return RequestError(
        503,
        "The server stops",
        expected="a request that is complete within the grace period",
        received="a longer one",
        headers={"retry-after": "1"},
    )
