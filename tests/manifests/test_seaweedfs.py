"""The overlay seaweedfs: what is reached from outside the pod, and TLS, on a real SeaweedFS."""

import json
import secrets
from urllib.parse import urlsplit

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store
from mammo_core.store.buckets import make_bucket
from pipelines.reference import IDENTITIES
from pipelines.roles import BUCKETS, ROLES, VERSIONED_BUCKETS
from pipelines.store_users import identities_file
from tests.manifests.test_tls import certificates
from tests.support.processes import free_port
from tests.support.seaweedfs import run_seaweedfs
from tests.support.server import S3Server

__all__ = ["certificates"]


def _container(built, folder):
    (pod,) = [
        item["spec"]["template"]["spec"] for item in built(folder) if item["kind"] == "StatefulSet"
    ]
    return pod["containers"][0]


def test_the_users_in_the_manifests_are_those_of_the_roles():
    assert IDENTITIES.read_text() == identities_file(), "run `make reference`"


def test_every_key_that_the_users_name_comes_from_the_secret_of_the_role(built):
    container = _container(built, "overlays/seaweedfs")
    sources = {
        (entry.get("prefix", ""), entry["secretRef"]["name"]) for entry in container["envFrom"]
    }
    assert sources == {
        ("", "seaweedfs-root"),
        *((f"{role.upper()}_", f"mammo-s3-{role}") for role in ROLES),
    }
    assert "never" not in json.dumps(container["args"])


def test_the_job_makes_the_buckets_of_the_roles(built):
    (job,) = [item for item in built("overlays/seaweedfs") if item["kind"] == "Job"]
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["command"][2:]
    plain, kept = script.split("&&")
    named = [word.removeprefix("s3://") for word in script.split() if word.startswith("s3://")]
    assert sorted(named) == sorted(BUCKETS)
    assert kept.split()[-1] == f"s3://{VERSIONED_BUCKETS[0]}"
    assert "--keep-versions" in kept
    assert "--keep-versions" not in plain


@pytest.mark.s3
def test_only_s3_is_reached_from_outside_the_pod(tmp_path):
    """Master, volumes and filer ask for no credentials: they listen on the loopback alone."""
    server = _server()
    with run_seaweedfs(tmp_path, server):
        listening = _listeners(tmp_path)
    everywhere = {port for address, port in listening if address not in ("127.0.0.1", "::1")}
    # The test's own S3 port is on the loopback, too; in the pod it is the only one that is not.
    assert everywhere == set()
    assert urlsplit(server.endpoint).port in {port for _, port in listening}


@pytest.mark.s3
def test_it_answers_with_the_certificate_of_the_overlay(built, certificates, tmp_path, monkeypatch):
    plain = _container(built, "overlays/seaweedfs")["args"]
    more = [
        word for word in _container(built, "overlays/seaweedfs-tls")["args"] if word not in plain
    ]
    assert len(more) == 2
    more = [word.replace("=/certs/", f"={certificates}/") for word in more]
    server = _server("https")
    with run_seaweedfs(tmp_path, server, more=tuple(more)):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            open_store("s3://mammo").read("a")
        monkeypatch.setenv("MAMMO_CA_BUNDLE", str(certificates / "ca.crt"))
        assert make_bucket("s3://mammo")
        open_store("s3://mammo").write("a", b"1")
        assert open_store("s3://mammo").read("a") == b"1"


def _server(scheme="http"):
    keys = f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
    return S3Server("seaweedfs", f"{scheme}://127.0.0.1:{free_port()}", *keys)


def _listeners(folder):
    """Address and port of every TCP socket that a process working in a folder listens on."""
    import psutil

    pids = {item.pid for item in psutil.process_iter(["cwd"]) if item.info["cwd"] == str(folder)}
    listening = {
        (item.laddr.ip, item.laddr.port)
        for item in psutil.net_connections(kind="tcp")
        if item.pid in pids and item.status == psutil.CONN_LISTEN
    }
    assert listening
    return listening
