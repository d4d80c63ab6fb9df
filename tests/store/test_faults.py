"""Full disks, folders without write access, absent servers, damaged bytes."""

import io
import os
import resource
import secrets
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store, s3_requests, scratch
from tests.support.processes import free_port, start_child

_WRITER = """
import resource, sys
from pathlib import Path
from mammo_core.errors import StoreError
from mammo_core.store import open_store
store = open_store(sys.argv[1])
store.write("small", b"x")
large = Path(sys.argv[3])
large.write_bytes(bytes(2**21))
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))
for work in (lambda: store.write("large", bytes(2**21)),
             lambda: store.put_file("large", large)):
    try:
        work()
    except StoreError as error:
        print(error)
print(sorted(store.list("")), store.read("small"), [p.name for p in store.root.iterdir()])
"""


@pytest.fixture(params=["tmpfs", "limit"])
def full_disk(request, tmp_path):
    """A folder with room for half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield folder, "limit"
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "mammo-test", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a tmpfs; the limit on file sizes tests the same")
    try:
        yield folder, "tmpfs"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_reported_and_keeps_completed_files(full_disk, tmp_path):
    folder, how = full_disk
    command = [sys.executable, "-c", _WRITER, str(folder), how, str(tmp_path / "other")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = output.splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert line.startswith("Cannot write 'large'") and "space on the disk" in line
    assert lines[2] == "['small'] b'x' ['small']"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_access_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        open_store(str(tmp_path / "store")).write("k", b"")


def test_a_store_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    store = open_store(str(tmp_path / "file" / "store"))
    works = {
        "write": lambda: store.write("k", b""),
        "put_file": lambda: store.put_file("k", tmp_path / "file"),
        "write_if": lambda: store.write_if("k", b"", None),
        "lease": lambda: store.lease("k", wait_s=1).__enter__(),
    }
    for name, work in works.items():
        with pytest.raises(StoreError, match="Not a directory") as caught:
            work()
        assert "--store" in str(caught.value), name
    assert not store.exists("k") and list(store.list("")) == []


def test_partial_files_of_killed_writers_are_never_listed(tmp_path):
    writer = (
        "import sys, time\n"
        "from mammo_core.store import open_store\n"
        "with open_store(sys.argv[1])._replacement('a/k') as part:\n"
        "    part.write_bytes(b'half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", writer, str(tmp_path)]
    with start_child(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
    assert list((tmp_path / "a").iterdir()) != []
    store = open_store(str(tmp_path))
    assert list(store.list("")) == [] and not store.exists("a/k")


@pytest.mark.s3
@pytest.mark.parametrize("work", ["read", "fetch"])
def test_bytes_changed_by_others_are_detected(s3_environment, work):
    store = open_store(f"s3://mammo-tests/{uuid4().hex}")
    store.write("k", b"whole")
    store._client.put_object(
        "mammo-tests", store._name("k"), io.BytesIO(b"other"), 5, metadata={"sha256": "0" * 64}
    )
    with pytest.raises(StoreError, match="are damaged"):
        getattr(store, work)("k")


@pytest.mark.s3
@pytest.mark.parametrize("wrong", ["secret", "both"])
def test_wrong_credentials_are_reported_without_showing_them(s3_environment, monkeypatch, wrong):
    if s3_environment.kind == "moto":
        pytest.skip("moto checks no credentials: run `make minio`")
    secret = secrets.token_hex(20)
    monkeypatch.setenv("MAMMO_S3_SECRET_KEY", secret)
    if wrong == "both":
        monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "nobody")
    store = open_store("s3://mammo-tests/x")
    start = time.monotonic()
    for work in (
        lambda: store.write("k", b"1"),
        lambda: store.write_if("k", b"1", None),
        lambda: store.read("k"),
        lambda: store.exists("k"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreError) as caught:
            work()
        message = str(caught.value)
        assert secret not in message and secret not in repr(store.__dict__)
        assert any(word in message for word in ("AccessDenied", "Signature", "AccessKeyId")), (
            message
        )
    assert time.monotonic() - start < 10  # not retried: it would not help


@pytest.fixture
def absent(monkeypatch):
    """A store whose server does not run."""
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "who")
    monkeypatch.setenv("MAMMO_S3_SECRET_KEY", "never-shown")
    return open_store("s3://bucket/x")


@pytest.mark.slow  # it waits for the retries
def test_an_absent_server_is_retried_and_reported_soon(absent):
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1") as caught:
        absent.read("k")
    assert 8 < time.monotonic() - start < 20
    assert "never-shown" not in str(caught.value)


@pytest.mark.parametrize("work", ["exists", "write", "write_if", "list", "lease"])
def test_every_request_reports_an_absent_server(absent, monkeypatch, work):
    monkeypatch.setattr(s3_requests, "RETRY_S", 0.1)
    works = {
        "exists": lambda: absent.exists("k"),
        "write": lambda: absent.write("k", b""),
        "write_if": lambda: absent.write_if("k", b"", None),
        "list": lambda: list(absent.list("")),
        "lease": lambda: absent.lease("k").__enter__(),
    }
    with pytest.raises(StoreError, match="an S3 server that answers at http://127"):
        works[work]()


@pytest.mark.s3
def test_a_full_scratch_disk_is_reported(s3_environment, tmp_path, monkeypatch):
    store = open_store(f"s3://mammo-tests/{uuid4().hex}")
    store.write("k", bytes(2**20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(StoreError, match="space on the disk"):
            store.fetch("k")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.fetch("k").stat().st_size == 2**20


def test_the_cache_removes_files_that_were_not_used_recently(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path))
    monkeypatch.setattr(scratch, "_used", set())
    paths = []
    for number, hours in enumerate([30, 20, 10, 1]):
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        paths.append(path)
        if number == 0:
            scratch.use(path)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    scratch.prune(limit=0)
    # The first is in use here, the last was used recently by another process.
    assert [path.exists() for path in paths] == [True, False, False, True]


def test_the_environment_sets_the_limit_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_SCRATCH", str(tmp_path))
    monkeypatch.setattr(scratch, "_used", set())
    paths = []
    for number in range(3):
        path = tmp_path / str(number) / "file"
        path.parent.mkdir()
        path.write_bytes(bytes(2**20))
        os.utime(path, (time.time() - (30 - number) * 3600,) * 2)
        paths.append(path)
    scratch.prune()
    assert all(path.exists() for path in paths)
    monkeypatch.setenv("MAMMO_SCRATCH_GB", "0.002")  # two files and a little
    scratch.prune()
    assert [path.exists() for path in paths] == [False, True, True]
    monkeypatch.setenv("MAMMO_SCRATCH_GB", "much")
    with pytest.raises(StoreError, match="MAMMO_SCRATCH_GB"):
        scratch.prune()
