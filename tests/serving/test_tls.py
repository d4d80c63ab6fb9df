"""Connections with TLS."""

import contextlib
import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from server_thread import limited, receive_response, serving

from mammo_core.errors import RecipeError
from mammo_core.serving import ServeConfig
from mammo_core.serving.transport.tls import tls_from_files


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """PEM files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    for file, encryption in (
        ("key.pem", serialization.NoEncryption()),
        ("encrypted.pem", serialization.BestAvailableEncryption(b"secret")),
    ):
        (folder / file).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
    return folder


def test_tls_connections_are_encrypted_limited_and_dropped_when_silent(certificate):
    tls = tls_from_files(certificate / "certificate.pem", certificate / "key.pem")
    config = ServeConfig(max_requests=1, max_connections=4, header_s=4)
    with serving(limited(config=config), config, tls=tls) as server:
        client = ssl.create_default_context(cafile=certificate / "certificate.pem")
        silent = [server.connect() for _ in range(10)]  # no handshake
        with client.wrap_socket(server.connect(), server_hostname="localhost") as connection:
            assert connection.version() in ("TLSv1.2", "TLSv1.3")
            connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert receive_response(connection)[0] == 200
        assert len(server.connections) <= 4
        for one in silent:
            with contextlib.suppress(ConnectionError):
                assert one.recv(1) == b""
            one.close()
        with server.connect() as plain:  # no TLS
            plain.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/1.1 200" not in plain.recv(1000)


def test_files_that_are_not_for_tls_are_errors(certificate, tmp_path):
    good, key = certificate / "certificate.pem", certificate / "key.pem"
    for files in (
        (good, tmp_path / "absent"),
        (key, good),
        (good, certificate / "encrypted.pem"),
        (good, None),
        (None, key),
    ):
        with pytest.raises(RecipeError):
            tls_from_files(*files)
    assert tls_from_files(None, None) is None
