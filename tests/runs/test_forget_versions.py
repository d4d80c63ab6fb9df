"""`mammo store forget` in a bucket that keeps versions, on a real server."""

import io
import json
from uuid import uuid4

import pytest
from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from mammo_core.runs.forget import Forgotten, _remove_versions
from mammo_core.store import open_store
from mammo_core.store.earlier_versions import remove_earlier_versions

pytestmark = pytest.mark.s3


@pytest.fixture
def versioned(s3_environment):
    """A client, a bucket with versioning, and a store in it."""
    endpoint = s3_environment.endpoint.removeprefix("http://")
    keys = (s3_environment.access_key, s3_environment.secret_key)
    client = Minio(endpoint, *keys, secure=False)
    bucket = f"versions-{uuid4().hex[:12]}"
    client.make_bucket(bucket)
    client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    return client, bucket, open_store(f"s3://{bucket}/store")


def versions(client, bucket):
    """Yield (name, bytes; None for the marker of a deletion) of each version."""
    for item in client.list_objects(bucket, recursive=True, include_version=True):
        if item.is_delete_marker:
            yield item.object_name, None
        else:
            response = client.get_object(bucket, item.object_name, version_id=item.version_id)
            yield item.object_name, response.read()
            response.release_conn()


def test_only_current_versions_are_left(versioned):
    client, bucket, store = versioned
    for text in (b"hers", b"also hers", b"without her"):
        store.write("frames/f/images.parquet", text)
        store.write("models/m/champion", text)
    store.write("tables/t/a", b"hers")
    store.delete("tables/t/a")
    # Beside the store in the same bucket, with a name that begins alike.
    for data in (b"1", b"2"):
        client.put_object(bucket, "store-of-others/a", io.BytesIO(data), 1)
    assert len(list(versions(client, bucket))) == 10
    assert remove_earlier_versions(store, keep=("models",)) == 4
    assert sorted(versions(client, bucket)) == [
        ("store-of-others/a", b"1"),
        ("store-of-others/a", b"2"),
        ("store/frames/f/images.parquet", b"without her"),
        *(("store/models/m/champion", text) for text in (b"also hers", b"hers", b"without her")),
    ]
    assert remove_earlier_versions(store, keep=("models",)) == 0
    assert store.read("frames/f/images.parquet") == b"without her"


def test_a_store_without_versions_has_none(store):
    store.write("a", b"1")
    store.write("a", b"2")
    assert remove_earlier_versions(store) == 0 and store.read("a") == b"2"


def test_what_may_not_be_removed_is_said(versioned, monkeypatch):
    client, bucket, store = versioned
    store.write("frames/f", b"hers")
    store.write("frames/f", b"without her")
    actions = ["s3:DeleteObjectVersion", "s3:ListBucketVersions"]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    deny = {"Effect": "Deny", "Principal": {"AWS": ["*"]}, "Action": actions, "Resource": resources}
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    allow = {**deny, "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"]}
    client.set_bucket_policy(bucket, json.dumps({**policy, "Statement": [allow]}))
    # Whoever signs nothing has the rights of the policy alone.
    monkeypatch.setattr(store, "_client", Minio(client._base_url.host, secure=False))
    result = Forgotten()
    _remove_versions(store, result)
    (text,) = result.unknown
    assert "s3:DeleteObjectVersion" in text and "AccessDenied" in text and result.versions == 0
