"""From URIs to stores."""

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import open_store

_SERVER = {
    "MAMMO_S3_ENDPOINT": "http://127.0.0.1:9",
    "MAMMO_S3_ACCESS_KEY": "who",
    "MAMMO_S3_SECRET_KEY": "never-shown",
}


@pytest.mark.parametrize("name", ["plain", "with space", "50%25", "a#b", "a?b", "ünï", "a:b", "~"])
def test_a_folder_may_have_any_name(tmp_path, name):
    folder = tmp_path / name
    by_path, by_uri = open_store(str(folder)), open_store(folder.as_uri())
    by_path.write("k", b"1")
    assert (folder / "k").read_bytes() == b"1"
    assert by_path.uri == by_uri.uri == folder.as_uri()
    assert open_store(by_path.uri).read("k") == b"1"


@pytest.mark.parametrize("uri", ["file://relative/x", "relative/x", "file:relative/x"])
def test_a_relative_uri_starts_at_the_working_directory(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    store = open_store(uri)
    assert store.uri == (tmp_path / "relative" / "x").as_uri()


@pytest.mark.parametrize(
    "uri", ["", " ", "file://", "file:", "s3://", "s3:///x", "s3:bucket", "ftp://x", "http://x/y"]
)
def test_a_uri_that_does_not_name_a_store_is_rejected(uri):
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(uri)


def test_credentials_in_a_uri_are_rejected_and_not_repeated():
    with pytest.raises(StoreError) as caught:
        open_store("s3://who:never-shown@bucket/x")
    assert "never-shown" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3://bucket/a b/50%#?", "s3://bucket/a b/50%#?"),
    ],
)
def test_the_uri_of_a_store_opens_it_again(monkeypatch, given, uri):
    for name, value in _SERVER.items():
        monkeypatch.setenv(name, value)
    assert open_store(given).uri == uri == open_store(uri).uri


def test_an_s3_prefix_with_dots_is_rejected(monkeypatch):
    for name, value in _SERVER.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError):
        open_store("s3://bucket/../x")


@pytest.mark.parametrize("missing", sorted(_SERVER))
def test_a_missing_setting_is_named(monkeypatch, missing):
    for name, value in _SERVER.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", missing):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=missing) as caught:
        open_store("s3://bucket/x")
    assert "never-shown" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://x", "http://"])
def test_an_endpoint_without_scheme_is_rejected(monkeypatch, endpoint):
    for name, value in _SERVER.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", endpoint)
    with pytest.raises(StoreError, match="http://host:port"):
        open_store("s3://bucket/x")
