"""The script of the MinIO overlay against a real MinIO, and what its users may do."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store

pytestmark = pytest.mark.s3
BUCKETS = ("mammo", "mammo-sources", "mammo-scores")
FOLDER = Path(__file__).resolve().parent.parent.parent / "manifests" / "overlays" / "minio"
ROLES = ("data", "train", "score", "serve")


@pytest.fixture(scope="module")
def keys(s3_server, tmp_path_factory):
    """Role → access key and secret key, after the script has run twice."""
    if s3_server.kind != "minio":
        pytest.skip("users and policies need a MinIO started by the tests")
    folder = tmp_path_factory.mktemp("policies")
    for role in ROLES:  # as the ConfigMap lays them
        (folder / f"{role}.json").write_text((FOLDER / "policies" / f"{role}.json").read_text())
    credentials = {role: (f"test-{role}", secrets.token_hex(20)) for role in ROLES}
    environment = {
        **os.environ,
        "MINIO_ENDPOINT": s3_server.endpoint,
        "MINIO_ROOT_USER": s3_server.access_key,
        "MINIO_ROOT_PASSWORD": s3_server.secret_key,
    }
    for role, (access, secret) in credentials.items():
        environment[f"{role.upper()}_ACCESS_KEY"] = access
        environment[f"{role.upper()}_SECRET_KEY"] = secret
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, FOLDER / "initialize.py", folder],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        assert not any(secret in done.stdout + done.stderr for _, secret in credentials.values())
    return credentials


@pytest.fixture
def as_role(keys, s3_server, monkeypatch, tmp_path):
    """`as_role(role, uri)`: a store as this role sees it."""

    def become(role, uri):
        access, secret = keys[role]
        monkeypatch.setenv("MAMMO_S3_ENDPOINT", s3_server.endpoint)
        monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", access)
        monkeypatch.setenv("MAMMO_S3_SECRET_KEY", secret)
        monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path / role))
        return open_store(uri)

    return become


def test_each_role_has_what_its_steps_need(as_role):
    as_role("data", "s3://mammo").write("datasets/a", b"1")
    train = as_role("train", "s3://mammo")
    assert train.read("datasets/a") == b"1"
    with train.lease("models/x"):
        assert train.write_if("models/x/1/claim", b"2", None)
    assert as_role("serve", "s3://mammo").read("models/x/1/claim") == b"2"
    assert list(as_role("serve", "s3://mammo").list("models/x/")) == ["models/x/1/claim"]


def test_no_role_reads_what_is_anothers(as_role, s3_server, monkeypatch):
    as_role("data", "s3://mammo-sources").write("phantom/a.dcm", b"1")
    for role in ("train", "serve"):
        with pytest.raises(StoreError, match=r"(?i)denied"):
            as_role(role, "s3://mammo-sources").read("phantom/a.dcm")
    with pytest.raises(StoreError, match=r"(?i)denied"):
        as_role("data", "s3://mammo-sources").write("cbis-ddsm/a.dcm", b"1")
    with pytest.raises(StoreError, match=r"(?i)denied"):
        as_role("serve", "s3://mammo").read("datasets/a")
    with pytest.raises(StoreError, match=r"(?i)denied"):
        as_role("serve", "s3://mammo").write("models/x/champion", b"1")


def test_score_reads_sources_and_models_and_writes_scores_alone(as_role):
    data = as_role("data", "s3://mammo-sources")
    data.write("phantom/scored.dcm", b"1")
    as_role("train", "s3://mammo").write("models/scored/1/weights", b"2")
    as_role("data", "s3://mammo").write("datasets/scored", b"3")
    score = {name: as_role("score", f"s3://{name}") for name in BUCKETS}
    assert score["mammo-sources"].read("phantom/scored.dcm") == b"1"
    assert "phantom/scored.dcm" in list(score["mammo-sources"].list("phantom"))
    assert score["mammo"].read("models/scored/1/weights") == b"2"
    assert list(score["mammo"].list("models/scored")) == ["models/scored/1/weights"]
    for store in (score["mammo-scores"], score["mammo"]):
        store.write("runs/r1/steps/score.json", b"{}")
        with store.lease("scores/x"):
            assert store.write_if("scores/x/manifest.json", b"{}", None)
        assert list(store.list("scores/x")) == ["scores/x/manifest.json"]
    denied = (
        lambda: score["mammo-sources"].write("phantom/scored.dcm", b"9"),
        lambda: score["mammo"].read("datasets/scored"),
        lambda: score["mammo"].write("models/scored/1/weights", b"9"),
        lambda: score["mammo"].write("models/scored/champion", b"9"),
        lambda: list(score["mammo"].list("datasets")),
    )
    for attempt in denied:
        with pytest.raises(StoreError, match=r"(?i)denied"):
            attempt()
