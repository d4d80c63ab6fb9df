"""One connection: HTTP/1.1 with limits of time, and errors in the form of all others."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from mammo_core.serving.faults import http_error_content
from mammo_core.serving.transport.connections import AcceptedSocket, Connections


class _Parser(h11.Connection):
    """The parser, with the status that its last error deserves."""

    status = 400

    def next_event(self) -> Any:
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            self.status = 431 if error.error_status_hint == 431 else 400
            raise


class Connection(H11Protocol):
    """A connection that is closed when the head of a request does not arrive in time.

    An `Upgrade` header is ignored, as RFC 9110 7.8 permits: Java's client asks for h2c with every
    first request, and takes HTTP/1.1.

    Args:
        config: The configuration of uvicorn.
        server_state: The state of uvicorn.
        app_state: The state of the lifespan.
        connections: The registry that counts this connection.
        header_s: Longest time until a head is complete (seconds).
        on_fault: Called with the status of each response to what was no request.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        connections: Connections,
        header_s: float,
        on_fault: Callable[[int], None],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.conn: _Parser = _Parser(h11.SERVER, config.h11_max_incomplete_event_size or 2**16)
        self._connections, self._header_s, self._on_fault = connections, header_s, on_fault
        self._accepted: AcceptedSocket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first head."""
        super().connection_made(transport)
        self._accepted = self._connections.get(transport.get_extra_info("socket").fileno())
        self._timer = self.loop.call_later(self._header_s, self._end_in_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what was received."""
        super().data_received(data)
        self._note_progress()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._note_progress()

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not HTTP, or to a head that does not arrive."""
        self._respond(self.conn.status)

    def _get_upgrade(self) -> bytes | None:
        return None

    def _note_progress(self) -> None:
        """Start the time of a head that has begun; stop it when the request has."""
        in_request = self.cycle is not None and not self.cycle.response_complete
        if self._accepted is not None:
            self._accepted.idle_since = None if in_request else time.monotonic()
        if in_request:
            self._stop_timer()
        elif self._timer is None and self.conn.trailing_data[0]:
            self._timer = self.loop.call_later(self._header_s, self._end_in_head)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_in_head(self) -> None:
        if self.conn.trailing_data[0]:
            self._respond(408)
        else:  # a client that sends nothing awaits nothing
            self.transport.close()

    def _respond(self, status: int) -> None:
        self._on_fault(status)
        if self.cycle is not None and not self.cycle.response_complete:
            # The rest of a body is invalid: the application learns that the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(http_error_content(status)).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            response = h11.Response(
                status_code=status, headers=headers, reason=STATUS_PHRASES[status]
            )
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
