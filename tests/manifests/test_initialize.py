"""The roles on the servers of the overlays, started and initialized as the overlays do it."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mammo_core.errors import StoreError
from mammo_core.runs import Run
from mammo_core.steps.begin import check_signing_key
from mammo_core.store import open_store, require_conditional_writes
from pipelines.doctor.inside import look
from tests.support.key_fixtures import make_key
from tests.support.processes import free_port
from tests.support.seaweedfs import run_seaweedfs
from tests.support.server import S3Server

pytestmark = pytest.mark.s3
OVERLAYS = Path(__file__).resolve().parent.parent.parent / "manifests" / "overlays"
FOLDER, SEAWEEDFS = OVERLAYS / "minio", OVERLAYS / "seaweedfs"
BUCKETS = ("mammo", "mammo-sources", "mammo-scores", "mammo-events")
#: Place → a key in it. `other` is a folder that belongs to nobody.
KEYS = {
    "sources": ("mammo-sources", "site/a.dcm"),
    "tables": ("mammo", "tables/0/images.parquet"),
    "records": ("mammo", "datasets/images/0/shard"),
    "features": ("mammo", "features/main/image_metadata/rows"),
    "model scores": ("mammo", "features/main/model_scores/rows"),
    "frames": ("mammo", "frames/0/manifest.json"),
    "validations": ("mammo", "validations/0/report.html"),
    "new images": ("mammo", "new-images/0/manifest.json"),
    "trainings": ("mammo", "trainings/image/0/model.keras"),
    "checkpoints": ("mammo", "checkpoints/trainings/image/0/latest.json"),
    "evaluations": ("mammo", "evaluations/0/metrics.json"),
    "regions": ("mammo", "regions/0/forest"),
    "candidates": ("mammo", "candidates/0/package.json"),
    "duels": ("mammo", "duels/0/scores.parquet"),
    "gates": ("mammo", "gates/0/gate.json"),
    "pushes": ("mammo", "pushes/0/manifest.json"),
    "models": ("mammo", "models/phantom/1/package.json"),
    "champion": ("mammo", "models/phantom/champion"),
    "scores": ("mammo", "scores/0/scores.parquet"),
    "score bucket": ("mammo-scores", "scores/0/scores.parquet"),
    "acceptances": ("mammo", "acceptances/0/record.json"),
    "runs": ("mammo", "runs/r1/summary.json"),
    "monitoring": ("mammo", "monitoring/0/drift.json"),
    "events": ("mammo-events", "2026/a.json"),
    "other": ("mammo", "experiments/0/a"),
}
EVERYTHING = tuple(KEYS)
_MODELS = ("models", "champion")
_SCORES = ("scores", "score bucket")
_RECORDS = ("tables", "records")
_TRAININGS = ("trainings", "checkpoints")
#: Role → (what it reads besides, what it writes): the table of issue "Hostile files", with the
#: kinds that it does not name given to the role of the step that makes them.
RIGHTS = {
    "upload": ((), ("sources",)),
    "data": (
        ("sources", *_MODELS),
        (*_RECORDS, "features", "model scores", "frames", "validations", "new images", "runs"),
    ),
    "train": (
        (*_RECORDS, "features", "frames", *_MODELS),
        ("model scores", *_TRAININGS, "evaluations", "regions", "candidates", "runs"),
    ),
    "duel": (("sources", "tables", "frames", "candidates", *_MODELS), ("duels", "runs")),
    "release": (
        ("frames", "evaluations", "candidates", "duels"),
        ("gates", "pushes", *_MODELS, "runs"),
    ),
    "score": (("sources", *_MODELS), (*_SCORES, "acceptances", "runs")),
    "serve": ((*_MODELS, "acceptances"), ()),
    "events": ((), ("events",)),
    "monitor": (("events", *_MODELS), ("monitoring", "runs")),
    "admin": ((), EVERYTHING),
}
PUT_ONLY = ("events",)


@pytest.fixture(scope="module")
def keys():
    """Role → access key and secret key."""
    return {role: (f"test-{role}", secrets.token_hex(20)) for role in RIGHTS}


@pytest.fixture(scope="module", params=["minio", "seaweedfs"])
def server(request, keys, tmp_path_factory):
    """A server of each overlay, initialized twice as its Job does."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "seaweedfs":
        names = f"test-{secrets.token_hex(6)}", secrets.token_hex(20)
        server = S3Server("seaweedfs", f"http://127.0.0.1:{free_port()}", *names)
        with run_seaweedfs(folder, server, keys):
            for _ in range(2):
                _run_job(server)
            yield server
        return
    server = request.getfixturevalue("s3_server")
    if server.kind != "minio":
        pytest.skip("users and policies need a MinIO started by the tests")
    _initialize_minio(server, keys, folder)
    yield server


def _run_job(server):
    """Do what the Job of the overlay seaweedfs does."""
    job = yaml.safe_load((SEAWEEDFS / "initialize.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    programs = Path(sys.executable).parent
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        container["command"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **server.environment, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == [
        f"//{bucket}" for bucket in BUCKETS
    ]


def _initialize_minio(server, keys, folder):
    for role, (access, secret) in keys.items():  # as the Secrets are mounted
        (folder / role).mkdir()
        (folder / role / "MAMMO_S3_ACCESS_KEY").write_text(access)
        (folder / role / "MAMMO_S3_SECRET_KEY").write_text(secret)
    environment = {
        **os.environ,
        "MINIO_ENDPOINT": server.endpoint,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, FOLDER / "initialize.py", FOLDER / "policies", folder],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        assert not any(secret in done.stdout + done.stderr for _, secret in keys.values())


@pytest.fixture(scope="module")
def stores(keys, server, tmp_path_factory):
    """(role, bucket) → the store as the role sees it."""
    scratch = tmp_path_factory.mktemp("scratch")
    opened = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMO_SCRATCH", str(scratch))
        patch.setenv("MAMMO_S3_ENDPOINT", server.endpoint)
        for role, (access, secret) in keys.items():
            patch.setenv("MAMMO_S3_ACCESS_KEY", access)
            patch.setenv("MAMMO_S3_SECRET_KEY", secret)
            for bucket in BUCKETS:
                opened[role, bucket] = open_store(f"s3://{bucket}")
        for bucket, key in KEYS.values():
            opened["admin", bucket].write(key, b"0")
        yield opened


def _is_allowed(action) -> bool:
    try:
        action()
    except StoreError as error:
        assert "denied" in str(error).lower(), error
        return False
    return True


def _hold_lease(store, key):
    with store.lease(key):
        pass


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_reads_and_writes_what_the_table_says_and_nothing_else(stores, role):
    reads, writes = RIGHTS[role]
    allowed = {"read": set(), "list": set(), "write": set(), "lease": set()}
    for part, (bucket, key) in KEYS.items():
        store, folder = stores[role, bucket], key.rpartition("/")[0]
        actions = {
            "read": lambda store=store, key=key: store.read(key),
            "list": lambda store=store, folder=folder: list(store.list(folder)),
            "write": lambda store=store, key=key: store.write(key, b"1"),
            "lease": lambda store=store, folder=folder: _hold_lease(store, folder),
        }
        for name, action in actions.items():
            if _is_allowed(action):
                allowed[name].add(part)
    readable = set() if role in PUT_ONLY else {*reads, *writes}
    assert allowed["read"] == readable
    # A listing is by prefix: of `features/main/model_scores` it is that of the view alone.
    assert allowed["list"] == readable
    assert allowed["write"] == set(writes)
    assert allowed["lease"] == (set() if role in PUT_ONLY else set(writes))


@pytest.mark.parametrize("role", ["data", "train", "duel", "release", "score", "monitor", "admin"])
def test_a_role_that_makes_outputs_can_test_conditional_writes(stores, role):
    require_conditional_writes(stores[role, "mammo"])


@pytest.mark.parametrize("role", ["serve", "events", "upload"])
def test_a_role_that_makes_none_cannot(stores, role):
    assert not _is_allowed(lambda: stores[role, "mammo"].write(".probe/a", b"1"))


@pytest.mark.parametrize("role", ["serve", "events", "monitor"])
def test_an_event_is_never_deleted(stores, role):
    bucket, key = KEYS["events"]
    assert not _is_allowed(lambda: stores[role, bucket].delete(key))


def test_no_step_deletes_a_version_or_an_entry_of_a_champion(stores):
    for part in ("models", "champion"):
        bucket, key = KEYS[part]
        assert not _is_allowed(lambda bucket=bucket, key=key: stores["release", bucket].delete(key))
        assert stores["release", bucket].read(key)


def test_an_event_that_is_put_again_keeps_its_first_version(stores, server):
    from minio import Minio

    bucket = "mammo-events"
    for data in (b"first", b"second"):
        stores["events", bucket].write("2026/twice.json", data)
    endpoint = server.endpoint.removeprefix("http://")
    client = Minio(endpoint, server.access_key, server.secret_key, secure=False)
    versions = client.list_objects(bucket, prefix="2026/twice.json", include_version=True)
    bodies = {
        client.get_object(bucket, i.object_name, version_id=i.version_id).data for i in versions
    }
    assert bodies == {b"first", b"second"}
    assert stores["monitor", bucket].read("2026/twice.json") == b"second"


def test_an_absent_object_is_missing_and_not_denied(stores):
    for role, key in (("serve", "models/none/champion"), ("train", "frames/none/manifest.json")):
        assert not stores[role, "mammo"].exists(key)


@pytest.mark.parametrize(("role", "bucket"), [("serve", "mammo-sources"), ("upload", "mammo-none")])
def test_an_upload_that_is_denied_ends_at_once_with_one_line(keys, tmp_path, role, bucket, server):
    for number in range(40):
        (tmp_path / f"{number}").write_text("0")
    values = (server.endpoint, *keys[role])
    names = ("MAMMO_S3_ENDPOINT", "MAMMO_S3_ACCESS_KEY", "MAMMO_S3_SECRET_KEY")
    command = [str(Path(sys.executable).parent / "mammo"), "store", "put"]
    done = subprocess.run(
        [*command, str(tmp_path), f"s3://{bucket}/site"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **dict(zip(names, values, strict=True))},
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error: " in line]
    assert "AccessDenied" in line and f"s3://{bucket}/site" in line and "role" in line
    assert "failed: " not in done.stderr


def _mounted(keys, server, folder):
    """The Secrets of the roles as the pod of `mammo doctor` has them."""
    for role, (access, secret) in keys.items():
        (folder / role).mkdir()
        values = (server.endpoint, access, secret)
        for name, value in zip(S3Server("", *values).environment, values, strict=True):
            (folder / role / name).write_text(value)
    return folder


def test_the_doctor_finds_the_rights_of_every_role(stores, keys, server, tmp_path):
    results = list(look(_mounted(keys, server, tmp_path)))
    assert {(item.state, item.remedy) for item in results} == {("ok", "")}, results
    assert [item.name for item in results] == [
        *(f"role {role} (mammo-s3-{role})" for role in RIGHTS),
        f"object store at {server.endpoint.removeprefix('http://')}",
    ]


def test_the_doctor_sees_a_role_with_the_rights_of_another(stores, keys, server, tmp_path):
    swapped = {"serve": keys["score"], "release": ("nobody", "0" * 40)}
    unknown, too_wide = look(_mounted(swapped, server, tmp_path))
    assert too_wide.state == "failed"
    more = ("read sources", "read scores", "write scores", "write acceptances", "read runs")
    more = (*more, "write runs")
    assert too_wide.text.split(", ") == [f"may {right}" for right in more]
    assert unknown.state == "failed"
    assert "InvalidAccessKeyId" in unknown.text


@pytest.mark.parametrize("role", ["release", "train"])
def test_the_right_to_push_is_checked_at_the_start_of_a_run(stores, tmp_path, monkeypatch, role):
    monkeypatch.setenv("MAMMO_SIGNING_KEY_FILE", str(make_key(tmp_path, "mine").private))
    run = Run(stores[role, "mammo"], f"check-{role}")
    if role == "release":
        assert check_signing_key(run)
        assert not stores["admin", "mammo"].exists("models/.check")
        return
    with pytest.raises(StoreError, match=r"Cannot write 'gates/.check'.*AccessDenied"):
        check_signing_key(run)
