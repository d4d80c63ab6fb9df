"""Connections: silent, slow, too many, malformed, with an upgrade."""

import asyncio
import contextlib
import socket
import threading

import pytest
from server_thread import echo, limited, receive_response, serving
from starlette.requests import Request

from mammo_core.serving import ServeConfig
from mammo_core.serving.transport.bodies import body_files

HEAD = b"POST /score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def test_an_upgrade_is_ignored(server):
    """Java's client asks for h2c with every first POST; websocket clients for websocket."""
    for upgrade in ("h2c", "websocket"):
        head = HEAD + f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n".encode()
        head += b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n"
        with server.connect() as connection:
            connection.sendall(head + b"abc")
            assert receive_response(connection)[0] == 200
            # The connection is still HTTP/1.1.
            connection.sendall(HEAD + b"\r\nabc")
            assert receive_response(connection) == (200, {"size": 3, "client": "127.0.0.1"})


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"GARBAGE\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (400, HEAD.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"\r\nZZ\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000),
    ],
    ids=["text", "tls", "no-host", "two-hosts", "negative", "two-lengths", "chunk", "large"],
)
def test_malformed_requests_get_the_documented_error(server, status, data):
    received, content = server.send(data)
    assert received == status and {"error", "expected", "received"} <= content.keys()
    assert server.faults and server.faults[-1] == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v2/", 200),
        ("http://127.0.0.1/v2", 200),
        ("HTTPS://localhost:1", 200),
        ("*", 200),
        ("//evil.example/x", 200),
        # The host of the absolute form counts, beside that of the header (RFC 9112 3.2.2).
        ("http://evil.example/v2", 400),
        ("http://[::1/v2", 400),
        ("http://a@127.0.0.1/v2", 400),
        ("http:///v2", 400),
    ],
)
def test_unusual_targets_are_answered_without_a_redirect(server, target, status):
    head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    received, content = server.send(head)
    assert received == status
    if status == 400:
        assert {"error", "problem", "expected", "received"} <= content.keys()
        assert "evil" not in str(content)


def test_silent_and_slow_connections_are_closed():
    # Long enough for a busy machine to send a request in time.
    config = ServeConfig(header_s=4, keep_alive_s=4)
    with (
        serving(limited(config=config), config) as server,
        server.connect() as silent,
        server.connect() as slow,
        server.connect() as pausing,
        server.connect() as slow_again,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHo")
        for connection in (pausing, slow_again):
            connection.sendall(HEAD + b"\r\nabc")
            assert receive_response(connection)[0] == 200
        slow_again.sendall(b"GET / HT")
        assert silent.recv(1) == b""
        assert receive_response(slow)[0] == 408 and slow.recv(1) == b""
        assert pausing.recv(1) == b""  # no further request
        assert receive_response(slow_again)[0] == 408


def test_a_body_that_does_not_arrive_gets_408():
    config = ServeConfig(idle_s=0.5)

    async def read(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError
        async with body_files(Request(scope, receive), config):
            await echo(scope, receive, send)

    with serving(limited(read, config), config) as server, server.connect() as connection:
        connection.sendall(HEAD + b"\r\na")  # one byte of three
        status, content = receive_response(connection)
        assert status == 408 and "pauses of at most 0.5 s" in content["expected"]


def test_idle_connections_make_room_for_others():
    """Silent connections, however many, keep nobody out; not even with a single request."""
    config = ServeConfig(max_requests=1, max_connections=8, header_s=60)
    with serving(limited(config=config), config) as server:
        silent = [server.connect() for _ in range(30)]
        try:
            assert server.send(b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[0] == 200
            assert server.send(HEAD + b"\r\nabc")[0] == 200
            assert len(server.connections) <= 8
        finally:
            for connection in silent:
                connection.close()


def test_connections_beyond_the_limit_are_closed_if_all_are_busy():
    release, arrived = threading.Event(), threading.Semaphore(0)

    async def wait(scope, receive, send):
        if scope["type"] == "http":
            arrived.release()
            await asyncio.to_thread(release.wait, 60)
        await echo(scope, receive, send)

    config = ServeConfig(max_requests=2, max_connections=3)
    with serving(wait, config) as server:
        busy = [server.connect() for _ in range(3)]
        for connection in busy:
            connection.sendall(HEAD + b"\r\nabc")
            assert arrived.acquire(timeout=60)
        with server.connect() as surplus, contextlib.suppress(ConnectionError):
            surplus.sendall(HEAD + b"\r\nabc")
            assert surplus.recv(1) == b""
        release.set()
        for connection in busy:
            assert receive_response(connection)[0] == 200
            connection.close()


def test_a_busy_server_rejects_requests_but_is_alive():
    release, arrived = threading.Event(), threading.Semaphore(0)

    async def wait(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/score":
            arrived.release()
            await asyncio.to_thread(release.wait, 60)
        await echo(scope, receive, send)

    config = ServeConfig(max_requests=1, max_connections=4)
    with serving(limited(wait, config), config) as server, server.connect() as busy:
        busy.sendall(HEAD + b"\r\nabc")
        assert arrived.acquire(timeout=60)
        status, content = server.send(b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status == 503 and content["expected"] == "at most 1 requests at a time"
        assert server.send(b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[0] == 200
        release.set()
        assert receive_response(busy)[0] == 200


def test_a_request_that_is_cut_off_gets_a_response(capfd):
    """At the end of the grace period; without a traceback, which would have paths."""
    arrived = threading.Event()

    async def hang(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError
        arrived.set()
        await asyncio.sleep(600)

    config = ServeConfig(grace_s=1)
    with serving(limited(hang, config), config) as server, server.connect() as connection:
        connection.sendall(HEAD + b"\r\nabc")
        assert arrived.wait(60)
        server.server.should_exit = True
        status, content = receive_response(connection)
        assert status == 503 and content["problem"] == "The server stops"
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err + captured.out


def test_a_port_in_use_is_an_error():
    from mammo_core.errors import RecipeError
    from mammo_core.serving.config import ServeConfig
    from mammo_core.serving.run import Access, serve

    with socket.create_server(("127.0.0.1", 0)) as taken:
        access = Access(port=taken.getsockname()[1])
        # Before the model is loaded: there is none.
        with pytest.raises(RecipeError, match="cannot listen at"):
            serve(["/nowhere"], access=access, config=ServeConfig())
