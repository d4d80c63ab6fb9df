"""Making buckets, by whoever administers the server."""

import os

from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from mammo_core.errors import StoreError
from mammo_core.store.s3_requests import S3Requests, create_bucket
from mammo_core.store.s3_settings import S3Settings, minio_client


def make_bucket(uri: str, *, keep_versions: bool = False) -> bool:
    """Make a bucket, unless it is there, with the credentials of the environment.

    Args:
        uri: `s3://bucket`.
        keep_versions: Whether the bucket is to keep every version of an object. A bucket that
            keeps them goes on doing so.

    Returns:
        Whether it was made now.

    Raises:
        StoreError: The URI is that of no bucket, or the server fails or refuses.
    """
    scheme, _, bucket = uri.rstrip("/").partition("://")
    if scheme != "s3" or not bucket or "/" in bucket or "@" in bucket:
        raise StoreError(
            "No bucket can be made",
            expected="s3://bucket, without a folder",
            received="credentials in it" if "@" in uri else repr(uri),
        )
    settings = S3Settings.from_environment(os.environ)
    client = minio_client(settings)

    def make() -> bool:
        absent = not client.bucket_exists(bucket)
        if absent:
            create_bucket(client, bucket)
        if keep_versions:
            client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        return absent

    requests = S3Requests(uri, bucket, settings.endpoint, settings.secret_key, lambda: None)
    return requests.send("create", "/", make)
