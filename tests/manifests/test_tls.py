"""MinIO with TLS, started as the overlay minio-tls starts it, and initialized through its CA."""

import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.processes import free_port, start_child
from tests.support.s3 import server_kind

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "manifests" / "overlays" / "minio"
ROOT = {"MINIO_ROOT_USER": "root-user", "MINIO_ROOT_PASSWORD": secrets.token_hex(20)}

pytestmark = pytest.mark.s3


def _certificate(name, key, issuer, signing_key, *, is_ca=False):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        address = x509.IPAddress(ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(signing_key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The Secret of the overlay, as cert-manager makes it: tls.crt, tls.key, ca.crt."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ec.generate_private_key(ec.SECP256R1())
    server = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.crt").write_bytes(_certificate("ca", authority, "ca", authority, is_ca=True))
    (folder / "tls.crt").write_bytes(_certificate("minio", server, "ca", authority))
    key = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tls.key").write_bytes(key)
    return folder


@pytest.fixture(scope="module")
def endpoint(built, certificates, tmp_path_factory):
    """A server with the arguments and the mounted files of the overlay."""
    if server_kind() != "minio":
        pytest.skip("TLS needs .tools/bin/minio (`make minio`)")
    folder = tmp_path_factory.mktemp("tls")
    (pod,) = [
        item["spec"]["template"]["spec"]
        for item in built("overlays/minio-tls")
        if item["kind"] == "StatefulSet"
    ]
    (volume,) = [item for item in pod["volumes"] if item["name"] == "certificate"]
    (folder / "certs").mkdir()
    for item in volume["secret"]["items"]:
        content = (certificates / item["key"]).read_bytes()
        (folder / "certs" / item["path"]).write_bytes(content)
    port = free_port()
    places = {":9000": f"127.0.0.1:{port}", "/certs": folder / "certs", "/data": folder / "data"}
    arguments = [str(places.get(word, word)) for word in pod["containers"][0]["args"]]
    command = [str(REPOSITORY / ".tools" / "bin" / "minio"), *arguments]
    environment = {**os.environ, **ROOT, "HOME": str(folder), "MINIO_BROWSER": "off"}
    with (
        (folder / "log").open("wb") as log,
        start_child(command, env=environment, stdout=log, stderr=log),
    ):
        yield f"https://127.0.0.1:{port}"


def _initialize(endpoint, folder, **variables):
    for role in (path.stem for path in (FOLDER / "policies").glob("*.json")):
        (folder / role).mkdir(exist_ok=True)
        (folder / role / "MAMMO_S3_ACCESS_KEY").write_text(f"test-{role}")
        (folder / role / "MAMMO_S3_SECRET_KEY").write_text(secrets.token_hex(20))
    environment = {**os.environ, **ROOT, "MINIO_ENDPOINT": endpoint, **variables}
    line = [sys.executable, FOLDER / "initialize.py", FOLDER / "policies", folder]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def test_the_server_is_initialized_through_its_ca(endpoint, certificates, tmp_path):
    authority = str(certificates / "ca.crt")
    done = _initialize(endpoint, tmp_path, MAMMO_CA_BUNDLE=authority)
    assert done.returncode == 0, done.stderr
    assert "user test-serve: policy mammo-serve" in done.stdout


def test_a_server_of_an_unknown_ca_is_refused_at_once(endpoint, certificates, tmp_path):
    stranger = ec.generate_private_key(ec.SECP256R1())
    authority = tmp_path / "other.crt"
    authority.write_bytes(_certificate("other", stranger, "other", stranger, is_ca=True))
    done = _initialize(endpoint, tmp_path, MAMMO_CA_BUNDLE=str(authority))
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
