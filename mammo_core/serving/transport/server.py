"""The server: uvicorn on a bound socket, with connections of our own."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from mammo_core.serving.config import ServeConfig
from mammo_core.serving.transport.connection import Connection
from mammo_core.serving.transport.connections import Connections, ListeningSocket

#: Connections that wait to be accepted.
_BACKLOG: Final = 128
#: How long canceled requests have to send their last response (seconds).
_LAST_RESPONSE_S: Final = 2.0


class Server(uvicorn.Server):
    """A server on a bound socket.

    Args:
        app: The application.
        listener: The socket.
        connections: The registry of the socket's connections.
        config: The limits.
        tls: The TLS settings; None for plain HTTP.
        on_start: Called when the port is open.
        on_fault: Called with the status of each response to what was no request.

    Attributes:
        ticked: When the event loop last ran (monotonic seconds).
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: ListeningSocket,
        connections: Connections,
        config: ServeConfig,
        *,
        tls: ssl.SSLContext | None = None,
        on_start: Callable[[], None] = lambda: None,
        on_fault: Callable[[int], None] = lambda _: None,
    ) -> None:
        # Its messages quote addresses and paths; every fault is counted and logged by us.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                loop="asyncio",  # uvloop does not use the socket's own `accept`
                ws="none",
                log_config=None,
                access_log=False,  # ours has no paths
                timeout_graceful_shutdown=config.grace_s,
                timeout_keep_alive=config.keep_alive_s,  # type: ignore[arg-type]
                h11_max_incomplete_event_size=2**16,
                server_header=False,
            )
        )
        self._listener, self._connections, self._limits = listener, connections, config
        self._tls, self._on_start, self._on_fault = tls, on_start, on_fault
        self.ticked = time.monotonic()

    async def startup(self, sockets: Sequence[Any] | None = None) -> None:
        """Open the port and say so."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_ignore_exception)

        def connection() -> Connection:
            return Connection(
                self.config,
                self.server_state,
                self.lifespan.state,
                connections=self._connections,
                header_s=self._limits.header_s,
                on_fault=self._on_fault,
            )

        timeout = self._limits.header_s if self._tls else None
        server = await loop.create_server(
            connection,
            sock=self._listener,
            ssl=self._tls,
            ssl_handshake_timeout=timeout,
            ssl_shutdown_timeout=timeout,
            backlog=_BACKLOG,
        )
        self.servers = [server]
        self.started = True
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """Note that the loop runs; return whether to stop."""
        self.ticked = time.monotonic()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop; requests that are cut off get a response."""
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=_LAST_RESPONSE_S)


def _ignore_exception(_: asyncio.AbstractEventLoop, __: dict[str, Any]) -> None:
    """Write nothing: asyncio's messages quote addresses and paths, and every fault is counted."""
