"""One setting, MAMMO_CA_BUNDLE, for every client: a real MinIO with TLS, KFP, model registry."""

import os
import secrets
import ssl
import urllib.request

import pytest

from mammo_core.errors import StoreError
from mammo_core.packaging import PackageManifest
from mammo_core.registry.kubeflow import ModelRegistry
from mammo_core.store import open_store, require_conditional_writes
from mammo_core.store.certificates import ca_bundle, tls_context
from tests.support.certificates import make_authority, make_server_certificate
from tests.support.processes import free_port, start_child, wait_until
from tests.support.s3 import REPOSITORY

MINIO = REPOSITORY / ".tools" / "bin" / "minio"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory, authority):
    """A MinIO that speaks TLS, with a certificate of the self-made authority."""
    if not os.access(MINIO, os.X_OK):
        pytest.skip("no .tools/bin/minio: `make minio`")
    folder = tmp_path_factory.mktemp("minio-tls")
    certificates = make_server_certificate(folder / "certs", authority)
    port, secret = free_port(), secrets.token_hex(20)
    command = [str(MINIO), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    command += ["--console-address", f"127.0.0.1:{free_port()}", "--certs-dir", str(certificates)]
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": "tls-test",
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }
    url = f"https://127.0.0.1:{port}"
    context = ssl.create_default_context(cafile=authority.file)

    def answers():
        try:
            urllib.request.urlopen(f"{url}/minio/health/ready", context=context, timeout=2)
        except OSError:
            return False
        return True

    with (
        (folder / "log").open("wb") as log,
        start_child([*command, str(folder / "data")], env=environment, stdout=log, stderr=log),
    ):
        wait_until(answers, 90.0)
        yield url, secret


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Sets MAMMO_CA_BUNDLE; None: the authorities of the system."""

    def set_bundle(path):
        if path is None:
            monkeypatch.delenv("MAMMO_CA_BUNDLE", raising=False)
        else:
            monkeypatch.setenv("MAMMO_CA_BUNDLE", str(path))

    monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path / "scratch"))
    return set_bundle


@pytest.mark.s3
def test_a_store_with_tls(endpoint, authority, stranger, use, monkeypatch, tmp_path):
    url, secret = endpoint
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", url)
    monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "tls-test")
    monkeypatch.setenv("MAMMO_S3_SECRET_KEY", secret)
    for bundle in (None, stranger.file):
        use(bundle)
        with pytest.raises(StoreError, match=r"CERTIFICATE_VERIFY_FAILED.*MAMMO_CA_BUNDLE"):
            open_store("s3://mammo-tests/tls").read("key")
    use(authority.file)
    store = open_store("s3://mammo-tests/tls")
    require_conditional_writes(store)
    store.write("key", b"plain")
    assert store.write_if("other", b"first", None) and not store.write_if("other", b"x", None)
    assert store.write_if("other", b"second", b"first")
    (tmp_path / "large").write_bytes(b"0" * (6 * 2**20))
    store.put_file("large", tmp_path / "large")
    assert store.fetch("large").stat().st_size == 6 * 2**20
    with store.lease("output"):
        assert store.read("key") == b"plain"
    # A bundle may hold several authorities.
    both = tmp_path / "both.crt"
    both.write_bytes(stranger.file.read_bytes() + authority.file.read_bytes())
    use(both)
    assert open_store("s3://mammo-tests/tls").read("key") == b"plain"


@pytest.mark.s3
def test_the_model_registry_and_kubeflow_pipelines(endpoint, authority, stranger, use):
    """Any server with the certificate will do: what matters is who is trusted."""
    from pipelines.connection import ClusterError, connect, settings_from

    url, _ = endpoint
    manifest = PackageManifest(format=1, name="m", model_id="a", versions={})

    def register():
        ModelRegistry(url).register("m", 1, "s3://x/models/m/1", manifest, "unsigned")

    def pipelines():
        connect(settings_from({"host": url}))

    for bundle in (None, stranger.file):
        use(bundle)
        with pytest.raises(StoreError, match="certificate that is not trusted"):
            register()
        with pytest.raises(ClusterError, match=r"cannot be reached.*CERTIFICATE_VERIFY_FAILED"):
            pipelines()
    use(authority.file)
    with pytest.raises(StoreError, match="status 4"):  # MinIO does not have that API
        register()
    with pytest.raises(ClusterError, match="HTTP 4"):
        pipelines()


def test_an_online_store_with_tls(authority, use):
    from mammo_core.features.online import redis_of

    use(authority.file)
    environment = {"MAMMO_ONLINE_STORE": "rediss://redis:6380/1", **os.environ}
    assert f'ssl_ca_certs="{authority.file}"' in redis_of(environment)["connection_string"]
    assert "ssl_ca_certs" not in str(redis_of({"MAMMO_ONLINE_STORE": "rediss://redis:6380/1"}))


def test_a_bundle_that_is_none_is_an_error(tmp_path, authority):
    assert ca_bundle({}) is None and ca_bundle({"MAMMO_CA_BUNDLE": ""}) is None
    assert ca_bundle({"MAMMO_CA_BUNDLE": str(authority.file)}) == str(authority.file)
    assert tls_context({"MAMMO_CA_BUNDLE": str(authority.file)}).cert_store_stats()["x509"] == 1
    empty = tmp_path / "empty.crt"
    empty.write_bytes(b"")
    for path, received in (
        (empty, "none in it"),
        (tmp_path / "missing", "No such file"),
        (tmp_path, "directory"),
    ):
        with pytest.raises(StoreError, match=f"MAMMO_CA_BUNDLE.*{received}"):
            ca_bundle({"MAMMO_CA_BUNDLE": str(path)})
