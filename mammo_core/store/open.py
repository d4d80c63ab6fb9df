"""From a URI to a store."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from mammo_core.errors import StoreError
from mammo_core.store.base import Store
from mammo_core.store.file import FileStore


def open_store(uri: str, environment: Mapping[str, str] | None = None) -> Store:
    """Open the store at a URI; nothing is read or written yet.

    Args:
        uri: `file:///folder`, `file://folder` (relative to the working directory), a plain path
            (taken as it is), or `s3://bucket/prefix` (server and credentials come from the
            environment: MAMMO_S3_ENDPOINT, MAMMO_S3_ACCESS_KEY, MAMMO_S3_SECRET_KEY, or
            the AWS_* names).
        environment: Where server and credentials are read; None: the environment of the process.

    Raises:
        StoreError: The URI does not name a store.
    """
    # Not urlsplit: `?` and `#` may be part of a folder's name.
    scheme, colon, rest = uri.partition(":")
    if not colon or (scheme not in ("file", "s3") and not rest.startswith("//")):
        scheme, rest = "", uri
    location = rest.removeprefix("//")
    if scheme == "s3" and rest.startswith("//"):
        bucket, _, prefix = location.partition("/")
        if "@" in bucket:
            raise StoreError(
                "A store's URI holds credentials",
                expected="s3://bucket/prefix, and credentials in the environment or a Secret",
                received="a URI with '@' before its path",
            )
        if bucket:
            from mammo_core.store.s3 import S3Store
            from mammo_core.store.s3_settings import S3Settings

            settings = S3Settings.from_environment(
                os.environ if environment is None else environment
            )
            return S3Store(settings, bucket, prefix.strip("/"))
    if scheme == "file" and location:
        return FileStore(Path(unquote(location)))
    if not scheme and uri.strip() and "\0" not in uri:
        return FileStore(Path(uri))
    raise StoreError(
        "The store cannot be opened",
        expected="a URI like file:///data/store, or s3://bucket/prefix",
        received=repr(uri),
    )
