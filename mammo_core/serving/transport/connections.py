"""The connections of a server: a limited number, however little their clients send."""

import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any


class AcceptedSocket(socket.socket):
    """A connection that its registry counts until it is closed.

    Attributes:
        client: Address of the client, without the port.
        idle_since: Time since which no request is in progress (monotonic seconds); None while one
            is.
    """

    connections: "Connections | None" = None
    client = ""
    idle_since: float | None = None

    def close(self) -> None:
        """Close the connection."""
        if self.connections is not None:
            self.connections.remove(self)
        super().close()


class Connections:
    """The open connections of a server, those in the handshake of TLS included.

    Beyond the limit, the longest idle connection of the client with the most idle ones is closed.
    If none is idle, the new one is closed.

    Args:
        limit: Maximum number of open connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[int, AcceptedSocket] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, accepted: AcceptedSocket, client: str) -> bool:
        """Count a new connection; return whether there was room for it."""
        accepted.client, accepted.idle_since = client, time.monotonic()
        if len(self._open) >= self._limit and not self._close_idle():
            return False
        accepted.connections = self
        self._open[accepted.fileno()] = accepted
        return True

    def remove(self, accepted: AcceptedSocket) -> None:
        """Count a connection no longer."""
        if self._open.get(accepted.fileno()) is accepted:
            del self._open[accepted.fileno()]

    def get(self, file_descriptor: int) -> AcceptedSocket | None:
        """Return the connection with a file descriptor."""
        return self._open.get(file_descriptor)

    def _close_idle(self) -> bool:
        idle = [one for one in self._open.values() if one.idle_since is not None]
        if not idle:
            return False
        by_client = Counter(one.client for one in idle)
        oldest = min(idle, key=lambda one: (-by_client[one.client], one.idle_since or 0.0))
        self.remove(oldest)
        # The event loop sees the end of the connection and closes it.
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)
        return True


class ListeningSocket(socket.socket):
    """A bound socket whose connections are limited in number.

    Args:
        address: Address and port to listen at; port 0 chooses a free one.
        connections: The registry of its connections.

    Raises:
        OSError: The address is in use, or not one of this machine.
    """

    def __init__(self, address: tuple[str, int], connections: Connections) -> None:
        info = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        super().__init__(info[0], info[1], info[2])
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.bind(info[4])
        except OSError:
            self.close()
            raise
        self.setblocking(False)
        self._connections = connections

    def accept(self) -> tuple[AcceptedSocket, Any]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: Too many are open, none of them idle: it was closed.
        """
        plain, address = super().accept()
        accepted = AcceptedSocket(fileno=plain.detach())
        client = str(address[0]) if isinstance(address, tuple) else ""
        if not self._connections.add(accepted, client):
            accepted.close()
            raise ConnectionAbortedError("too many connections")
        return accepted, address
