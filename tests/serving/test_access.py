"""Who may use a server: tokens, JSON Web Tokens, hosts; and what is logged about it."""

import asyncio
import base64
import hmac
import io
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from server_thread import echo, limited

from mammo_core.errors import RecipeError
from mammo_core.serving import ServeConfig
from mammo_core.serving.faults import RequestError
from mammo_core.serving.transport.access_log import AccessLog
from mammo_core.serving.transport.authentication import (
    Authenticator,
    JsonWebTokens,
    StaticTokens,
    authenticator_from_files,
)
from mammo_core.serving.transport.hosts import require_allowed_host

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# clients\n\nradiology {TOKEN}\nresearch {TOKEN[::-1]}  # until May\n")
    return path


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def jwks_of(private, **fields):
    algorithm = (
        jwt.algorithms.ECAlgorithm
        if isinstance(private, ec.EllipticCurvePrivateKey)
        else jwt.algorithms.RSAAlgorithm
    )
    public = json.loads(algorithm.to_jwk(private.public_key()))
    return {"keys": [{**public, **fields}]}


def token_of(key, algorithm="ES256", headers=None, **claims):
    default = {"sub": "viewer", "aud": "mammo", "iss": "https://id", "exp": time.time() + 600}
    claims = {name: value for name, value in (default | claims).items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers=headers)


def ask(app, path="/v2", headers=()):
    """Send a request to an application; return status, headers and JSON."""

    async def send_request():
        import httpx

        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers=dict(headers))

    response = asyncio.run(send_request())
    return response.status_code, response.headers, response.json()


def test_a_request_without_a_valid_token_is_rejected(tokens):
    app = limited(authenticator=Authenticator(StaticTokens(tokens)))
    for value in (None, "", "Basic cmFkOnJhZA==", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x"):
        status, headers, content = ask(app, headers={"authorization": value} if value else {})
        assert status == 401 and headers["www-authenticate"].startswith("Bearer")
        assert {"error", "expected", "received"} <= content.keys()
        assert TOKEN not in json.dumps(content)
    assert ask(app, headers={"authorization": f"Bearer {TOKEN}"})[2]["client"] == "radiology"
    assert ask(app, headers={"authorization": f"bearer {TOKEN[::-1]}"})[2]["client"] == "research"
    # Health needs no token; metrics do.
    assert ask(app, "/v2/health/live")[0] == 200 and ask(app, "/metrics")[0] == 401


def test_a_changed_file_of_tokens_is_read_again(tokens):
    scheme = StaticTokens(tokens)
    assert scheme.client_of(TOKEN) == "radiology"
    replaced = tokens.with_name("new")

    def replace(text):
        replaced.write_text(text)
        replaced.replace(tokens)
        scheme._file._next_check = 0.0

    replace("radiology " + "f" * 32)
    assert scheme.client_of(TOKEN) is None and scheme.client_of("f" * 32) == "radiology"
    replace("radiology short")  # not valid: the last valid one is in force
    assert scheme.client_of("f" * 32) == "radiology"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "has no tokens"),
        ("# nothing\n", "has no tokens"),
        ("radiology\n", "line 1"),
        (f"a {TOKEN}\nb short", "line 2"),
        (f"a {TOKEN} c", "line 1"),
        ("a " + "x" * 2**20, "too large"),
    ],
)
def test_an_invalid_file_of_tokens_is_an_error(tmp_path, content, reason):
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(RecipeError, match=reason) as caught:
        StaticTokens(tmp_path / "tokens")
    assert "short" not in str(caught.value).replace("shorter", "")
    with pytest.raises(RecipeError, match="cannot be read"):
        StaticTokens(tmp_path / "absent")


def test_json_web_tokens_are_verified(tmp_path, key):
    other = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(jwks_of(key, kid="1", use="sig")))
    scheme = JsonWebTokens(path, "mammo", "https://id")
    assert scheme.client_of(token_of(key)) == "viewer"
    assert scheme.client_of(token_of(key, headers={"kid": "1"})) == "viewer"
    unsigned = jwt.encode({"sub": "viewer", "aud": "mammo", "exp": time.time() + 60}, "", "none")
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # PyJWT refuses to make this attack: the public key as the secret of HS256.
    signed = jwt.encode({"sub": "viewer", "aud": "mammo", "exp": time.time() + 60}, "x" * 32)
    signed = signed.rpartition(".")[0]
    digest = hmac.digest(public, signed.encode(), "sha256")
    confused = f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    refused = {
        "another key": token_of(other),
        "another key id": token_of(key, headers={"kid": "2"}),
        "another audience": token_of(key, aud="billing"),
        "no audience": token_of(key, aud=None),
        "another issuer": token_of(key, iss="https://evil"),
        "expired": token_of(key, exp=time.time() - 60),
        "no expiry": token_of(key, exp=None),
        "no subject": token_of(key, sub=None),
        "not yet": token_of(key, nbf=time.time() + 600),
        "unsigned": unsigned,
        "public key as a secret": confused,
        "not a token": "a.b.c",
    }
    accepted = [name for name, token in refused.items() if scheme.client_of(token) is not None]
    assert not accepted
    path.write_text(json.dumps(jwks_of(other)))  # the provider rotates its key
    scheme._file._next_check = 0.0
    assert scheme.client_of(token_of(other)) == "viewer"
    assert scheme.client_of(token_of(key)) is None


def test_rsa_keys_without_an_algorithm_verify_all_of_theirs(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "jwks.json").write_text(json.dumps(jwks_of(key)))
    scheme = JsonWebTokens(tmp_path / "jwks.json", "mammo")
    for algorithm in ("RS256", "RS512", "PS256"):
        assert scheme.client_of(token_of(key, algorithm)) == "viewer"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [1]}',
        '{"keys": {}}',
        '{"keys": [{"kty": "EC"}]}',
        '{"keys": [{"kty": "RSA", "alg": "none", "n": "AQAB", "e": "AQAB"}]}',
        '{"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}]}',
        "[" * 100_000,
    ],
)
def test_an_invalid_jwks_file_is_an_error(tmp_path, content):
    (tmp_path / "jwks.json").write_text(content)
    with pytest.raises(RecipeError):
        JsonWebTokens(tmp_path / "jwks.json", "mammo")


def test_private_keys_and_missing_audiences_are_errors(tmp_path, key):
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [private]}))
    with pytest.raises(RecipeError, match="has a secret key") as caught:
        JsonWebTokens(path, "mammo")
    assert private["d"] not in str(caught.value)
    with pytest.raises(RecipeError, match="audience"):
        authenticator_from_files(None, path)
    with pytest.raises(RecipeError, match="need keys"):
        authenticator_from_files(None, None, "mammo")
    assert authenticator_from_files(None, None) is None


@pytest.mark.parametrize(
    ("host", "allowed", "accepted"),
    [
        ("127.0.0.1:8080", (), True),
        ("localhost", (), True),
        ("LOCALHOST:8080", (), True),
        ("[::1]:8080", (), True),
        ("10.1.2.3", (), True),
        ("evil.example", (), False),
        ("127.0.0.1.evil.example", (), False),
        ("localhost.evil.example", (), False),
        ("mammo.example.org:443", ("mammo.example.org",), True),
        ("mammo.example.org.", ("mammo.example.org",), True),
        ("a.example.org", ("*.example.org",), True),
        ("example.org", ("*.example.org",), False),
        ("evilexample.org", ("*.example.org",), False),
        ("anything.example", ("*",), True),
        ("localhost:port", (), False),
        ("", (), False),
        (None, (), False),
    ],
)
def test_the_host_header_is_checked(host, allowed, accepted):
    if accepted:
        require_allowed_host(host, allowed)
    else:
        with pytest.raises(RequestError) as caught:
            require_allowed_host(host, allowed)
        assert caught.value.status == 400


def test_the_log_has_a_line_per_request_and_no_identifiers(tokens):
    stream = io.StringIO()
    app = limited(
        config=ServeConfig(max_connections=4, max_requests=2),
        authenticator=Authenticator(StaticTokens(tokens)),
        log=AccessLog(stream),
    )
    ask(app, "/patients/PLANTED?name=PLANTED", {"authorization": f"Bearer {TOKEN}"})
    ask(app, "/PLANTED", {"x-patient": "PLANTED", "authorization": "Bearer PLANTED"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["status"] for line in lines] == [200, 401]
    assert lines[0].keys() == {
        "time", "event", "request", "method", "route", "status", "seconds", "received_bytes",
    }  # fmt: skip
    text = stream.getvalue()
    assert not any(word in text for word in ("PLANTED", TOKEN, "radiology", "127.0.0.1"))


def test_a_client_has_a_share_of_the_requests(tokens):
    """One client that sends without end leaves room for others."""
    release = asyncio.Event()

    async def wait(scope, receive, send):
        if scope["path"] == "/hold":
            await release.wait()
        await echo(scope, receive, send)

    async def scenario():
        import httpx

        app = limited(
            wait,
            ServeConfig(max_requests=4, max_connections=8),
            Authenticator(StaticTokens(tokens)),
        )
        transport = httpx.ASGITransport(app=app)
        greedy, other = ({"authorization": f"Bearer {one}"} for one in (TOKEN, TOKEN[::-1]))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            held = [asyncio.create_task(client.get("/hold", headers=greedy)) for _ in range(3)]
            while app._in_flight.total() < 3:
                await asyncio.sleep(0)
            refused = await client.get("/v2", headers=greedy)
            served = await client.get("/v2", headers=other)
            release.set()
            return (
                refused.status_code,
                served.status_code,
                {(await one).status_code for one in held},
            )

    assert asyncio.run(scenario()) == (503, 200, {200})
