"""Conversion of files in a bucket."""

import pytest

from mammo_core.errors import SourceError
from mammo_core.ingest.convert import ConvertConfig, convert
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.preprocessing import Geometry
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.store import open_store
from mammo_core.store.upload import upload
from tests.support.ingest import digests


def convert_source(store, source, root):
    return convert(
        store,
        source.images,
        source.lesions,
        root=root,
        config=ConvertConfig(geometry=Geometry(height=96, width=72), shard_mb=1),
        runner=RunnerConfig(workers=1),
        lineage={"tables": "t"},
    )


@pytest.mark.s3
def test_a_bucket_gives_the_same_bytes_as_a_folder(s3_environment, phantom_tables, tmp_path):
    bucket = open_store("s3://mammo-ingest/in")
    files = SourceFiles.open(str(phantom_tables.root))
    upload(bucket, {name: files.local(name) for name in files.names()})
    here, there = open_store(str(tmp_path / "here")), open_store(str(tmp_path / "there"))
    from_folder = convert_source(here, phantom_tables, phantom_tables.root)
    from_bucket = convert_source(there, index(SourceConfig(root=bucket.uri)), bucket.uri)
    assert from_folder.id == from_bucket.id
    assert digests(here, from_folder.folder) == digests(there, from_bucket.folder)


@pytest.mark.s3
def test_an_object_that_changed_after_it_was_indexed_fails(
    s3_environment, phantom_tables, tmp_path
):
    bucket = open_store("s3://mammo-ingest/changed")
    files = SourceFiles.open(str(phantom_tables.root))
    upload(bucket, {name: files.local(name) for name in files.names()})
    tables = index(SourceConfig(root=bucket.uri))
    bucket.write(tables.images["path"].iloc[0], b"other bytes")
    with pytest.raises(SourceError, match="changed since it was indexed"):
        convert_source(open_store(str(tmp_path / "out")), tables, bucket.uri)
