"""A server in a thread of the test, and bytes sent to it as they are."""

import json
import socket
import threading
from contextlib import contextmanager

from starlette.responses import JSONResponse

from mammo_core.serving import ServeConfig
from mammo_core.serving.server_metrics import ServerMetrics
from mammo_core.serving.transport.access_log import AccessLog
from mammo_core.serving.transport.connections import Connections, ListeningSocket
from mammo_core.serving.transport.request_limiter import RequestLimiter
from mammo_core.serving.transport.server import Server


async def echo(scope, receive, send):
    """Respond with the size of the body."""
    if scope["type"] != "http":
        raise NotImplementedError
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    response = JSONResponse({"size": size, "client": scope.get("mammo.client")})
    await response(scope, receive, send)


class Running:
    """A running server."""

    def __init__(self, server, port, connections, faults):
        self.server, self.port = server, port
        self.connections, self.faults = connections, faults

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, data):
        """Send bytes; return all bytes until the server closes, or a whole response."""
        with self.connect() as connection:
            connection.sendall(data)
            return receive_response(connection)


def receive_response(connection):
    """Return status and JSON of one response; None if the connection is closed without one."""
    stream = connection.makefile("rb")
    line = stream.readline()
    if not line:
        return None
    size = 0
    while (header := stream.readline().strip()) != b"":
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    return int(line.split()[1]), json.loads(stream.read(size))


def limited(app=echo, config=None, authenticator=None, log=None):
    """Return an application within the layer that limits requests."""
    metrics = ServerMetrics()
    log = log or AccessLog(None)
    return RequestLimiter(app, config or ServeConfig(), metrics, log, authenticator)


@contextmanager
def serving(app=None, config=None, tls=None):
    """Run a server with an application until the end of the block."""
    config = config or ServeConfig(grace_s=2)
    connections = Connections(config.max_connections)
    with ListeningSocket(("127.0.0.1", 0), connections) as listener:
        opened, faults = threading.Event(), []
        server = Server(
            app or limited(config=config),
            listener,
            connections,
            config,
            tls=tls,
            on_start=opened.set,
            on_fault=faults.append,
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            assert opened.wait(60)
            yield Running(server, listener.getsockname()[1], connections, faults)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
