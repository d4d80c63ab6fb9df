"""Uploading folders to stores."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammo_core.cli.store import app
from mammo_core.errors import StoreError
from mammo_core.store import open_store, s3_requests
from mammo_core.store.file import FileStore
from mammo_core.store.s3_requests import UnusableStoreError
from mammo_core.store.upload import upload
from tests.support.processes import free_port


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "in"
    paths = {}
    # 6 MiB: more than one part of a multipart upload.
    for name, data in {"a/b.dcm": b"x" * 6 * 2**20, "a/empty": b"", "c d/ü.png": b"png"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        paths[name] = path
    (root / ".DS_Store").write_text("hidden")
    return paths


def test_entries_have_size_version_and_digest(store):
    assert store.entry("a/b") is None and list(store.entries("")) == []
    store.write("a/b", b"one")
    store.write("c", b"")
    assert [(entry.key, entry.size) for entry in store.entries("")] == [("a/b", 3), ("c", 0)]
    first = store.entry("a/b")
    assert first.sha256 == hashlib.sha256(b"one").hexdigest()
    assert first.version == next(store.entries("a")).version
    store.write("a/b", b"two")
    assert store.entry("a/b").version != first.version


def test_a_file_is_sent_once_and_again_when_it_changed(store, files):
    result = upload(store, files, read_back=True)
    assert (result.sent, result.unchanged, result.faults) == (3, 0, {})
    assert result.sent_bytes == sum(path.stat().st_size for path in files.values())
    assert {name: store.read(name) for name in files} == {
        name: path.read_bytes() for name, path in files.items()
    }
    versions = {entry.key: entry.version for entry in store.entries("")}
    assert upload(store, files).unchanged == 3
    assert {entry.key: entry.version for entry in store.entries("")} == versions
    files["c d/ü.png"].write_bytes(b"gnp")  # as long as before
    store.delete("a/empty")
    result = upload(store, files)
    assert (result.sent, result.unchanged) == (2, 1)
    assert store.read("c d/ü.png") == b"gnp"


def test_a_fault_does_not_stop_the_other_files(store, files, tmp_path):
    advanced = []
    result = upload(
        store, {**files, "gone": tmp_path / "gone"}, threads=1, advance=lambda: advanced.append(1)
    )
    assert result.sent == 3 and list(result.faults) == ["gone"]
    assert "No such file" in result.faults["gone"] and str(tmp_path) not in result.faults["gone"]
    assert len(advanced) == 4


def test_many_faults_end_the_upload(store, tmp_path):
    result = upload(store, {f"{number}": tmp_path / "gone" for number in range(50)}, threads=4)
    assert 20 <= len(result.faults) <= 24
    assert len(result.faults) + result.untried == 50


def test_a_file_that_arrives_damaged_is_a_fault(files, tmp_path):
    class Lossy(FileStore):
        """A disk that loses the last byte."""

        def put_file(self, key, path):
            self.write(key, path.read_bytes()[:-1])

    result = upload(Lossy(tmp_path / "out"), files)
    assert set(result.faults) == {"a/b.dcm", "c d/ü.png"}
    assert all("as it was sent" in reason for reason in result.faults.values())


def test_put_and_ls(store, files, tmp_path):
    uri = f"{store.uri}/deep"
    first = CliRunner().invoke(app, ["put", str(tmp_path / "in"), uri])
    assert first.exit_code == 0, first.output
    assert "3 files sent (6.3 MB" in first.stdout and "files/s" in first.stdout
    again = CliRunner().invoke(app, ["put", str(tmp_path / "in"), uri])
    assert "0 files sent" in again.stdout and "3 unchanged" in again.stdout
    listed = CliRunner().invoke(app, ["ls", uri, "--json"]).stdout
    assert [json.loads(line) for line in listed.splitlines()] == [
        {"key": "a/b.dcm", "size": 6 * 2**20},
        {"key": "a/empty", "size": 0},
        {"key": "c d/ü.png", "size": 3},
    ]
    assert "3 files, 6291459 bytes" in CliRunner().invoke(app, ["ls", uri]).stdout
    assert open_store(uri).read("c d/ü.png") == b"png"


def test_a_failure_is_reported_with_exit_code_1(files, tmp_path):
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "c d").write_text("a file instead of a folder")
    result = CliRunner().invoke(app, ["put", str(tmp_path / "in"), str(tmp_path / "out")])
    assert isinstance(result.exception, StoreError) and result.exception.exit_code == 1
    assert "1 of 3 files could not be stored" in str(result.exception)
    assert "failed: c d/ü.png" in result.stderr
    assert (tmp_path / "out" / "a" / "b.dcm").exists()


def test_put_follows_no_link_out_of_its_folder(tmp_path):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "key").write_text("secret")
    folder = tmp_path / "images"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "a").write_text("a")
    (folder / "b").symlink_to(folder / "inside" / "a")
    (folder / "again").symlink_to(folder / "inside")
    store = tmp_path / "store"
    words = ["put", str(folder), store.as_uri()]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (store / "b").read_text() == "a"
    for name, target in (("c", secret / "key"), ("d", secret), ("e", Path("../elsewhere/key"))):
        (folder / name).symlink_to(target)
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, StoreError)
        assert name in result.exception.received
        assert not (store / name).exists()
        (folder / name).unlink()


def test_an_absent_server_ends_the_upload(files, monkeypatch):
    monkeypatch.setattr(s3_requests, "RETRY_S", 0.1)
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "who")
    monkeypatch.setenv("MAMMO_S3_SECRET_KEY", "never-shown")
    with pytest.raises(UnusableStoreError, match="an S3 server that answers at http://127"):
        upload(open_store("s3://mammo-tests/x"), files)


@pytest.mark.s3
def test_a_missing_bucket_is_called_that(s3_environment):
    store = open_store("s3://mammo-tests-none/deep")
    for work in (lambda: store.read("a"), store.require_exists):
        with pytest.raises(StoreError, match="There is no bucket 'mammo-tests-none' at http"):
            work()
    listed = CliRunner().invoke(app, ["ls", "s3://mammo-tests-none/deep"])
    assert "There is no bucket 'mammo-tests-none'" in str(listed.exception)
