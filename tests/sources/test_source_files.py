"""Files of a source in a folder and in a bucket."""

import hashlib
import pickle
from pathlib import Path

import pandas as pd
import pytest

from mammo_core.errors import SourceError, StoreError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.store import open_store, scratch
from mammo_core.store.upload import upload


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    create(root, PhantomConfig(patients=4, seed=4, height=96, width=72), workers=1)
    return root


def names_under(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def stored(store, tree):
    upload(store, {f"in/{name}": path for name, path in names_under(tree).items()})
    return SourceFiles.open(f"{store.uri}/in")


def test_lists_reads_and_hashes(stored, tree):
    expected = names_under(tree)
    assert stored.names() == sorted(expected)
    name = next(name for name in expected if name.endswith(".dcm"))
    data = expected[name].read_bytes()
    assert stored.entries[name].size == len(data)
    assert stored.local(name).read_bytes() == data
    assert stored.sha256(name) == hashlib.sha256(data).hexdigest()
    assert stored.head(name, 132) == data[:132]
    assert stored.exists(name) and not stored.exists(name + "x")
    with stored.as_local_header(name) as path:
        assert data.startswith(path.read_bytes())
    again = pickle.loads(pickle.dumps(stored))
    assert again.uri == stored.uri and again.entries == stored.entries


def test_empty_files_and_missing_folders(store):
    store.write("in/empty.dcm", b"")
    store.write("in/.hidden", b"x")
    files = SourceFiles.open(f"{store.uri}/in")
    assert files.names() == ["empty.dcm"]
    assert files.head("empty.dcm", 10) == b""
    files.require_root("image folder x")
    with pytest.raises(SourceError, match="The image folder y cannot be opened"):
        SourceFiles.open(f"{store.uri}/none").require_root("image folder y")


def test_names_cannot_leave_the_root(stored):
    for name in ("../secret", "/etc/passwd", "a/../../b"):
        with pytest.raises(StoreError, match="cannot be used"):
            stored.local(name)


def test_the_index_is_the_same_wherever_the_files_are(stored, tree):
    local = index(SourceConfig(root=str(tree)))
    remote = index(SourceConfig(root=stored.uri))
    pd.testing.assert_frame_equal(local.images, remote.images)
    pd.testing.assert_frame_equal(local.lesions, remote.lesions)
    assert local.rejects.empty and remote.rejects.empty
    assert local.facts == remote.facts


@pytest.mark.s3
def test_objects_that_another_program_wrote(s3_environment, tree):
    # They have no stored digest: the bytes are fetched and hashed.
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3_environment.endpoint,
        aws_access_key_id=s3_environment.access_key,
        aws_secret_access_key=s3_environment.secret_key,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="mammo-others")
    client.put_object(Bucket="mammo-others", Key="in/", Body=b"")
    for name, path in names_under(tree).items():
        client.put_object(Bucket="mammo-others", Key=f"in/{name}", Body=path.read_bytes())
    local = index(SourceConfig(root=str(tree)))
    remote = index(SourceConfig(root="s3://mammo-others/in"))
    pd.testing.assert_frame_equal(local.images, remote.images)
    pd.testing.assert_frame_equal(local.lesions, remote.lesions)


@pytest.mark.s3
def test_the_cache_may_drop_files_after_the_block(s3_environment, tmp_path):
    store = open_store("s3://mammo-tests/cache")
    for number in range(4):
        store.write(f"{number}", bytes(1000))
    files = SourceFiles.open(store.uri)
    kept = files.local("0")
    paths = []
    for number in range(1, 4):
        with files.as_local_file(f"{number}") as path:
            paths.append(path)
            scratch.prune(limit=0)
            assert path.exists()
    scratch.prune(limit=0)
    assert kept.exists()
    assert not any(path.exists() for path in paths)
    assert files.local("1").read_bytes() == bytes(1000)
