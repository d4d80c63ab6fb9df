"""Earlier versions of objects, in a bucket that keeps them."""

from collections.abc import Collection

from mammo_core.store.base import Store
from mammo_core.store.s3_requests import ABSENT


def remove_earlier_versions(store: Store, keep: Collection[str] = ()) -> int:
    """Remove every version of an object but the current one, and the markers of deleted objects.

    A folder has none, and neither has a bucket without versioning.

    Args:
        store: The store.
        keep: First folders of keys whose earlier versions are kept.

    Returns:
        How many versions were removed.

    Raises:
        StoreError: The server fails, or denies the listing or removal of versions (it needs the
            permissions s3:ListBucketVersions and s3:DeleteObjectVersion).
    """
    if not store.uri.startswith("s3://"):
        return 0
    from minio.error import S3Error

    from mammo_core.store.s3 import S3Store

    if not isinstance(store, S3Store):
        return 0
    client, bucket, prefix = store._client, store._bucket, store._prefix

    def find() -> list[tuple[bool, str, str]]:
        objects = client.list_objects(bucket, prefix=prefix, recursive=True, include_version=True)
        try:
            return sorted(
                (bool(item.is_delete_marker), str(item.object_name), str(item.version_id))
                for item in objects
                if item.version_id and (item.is_delete_marker or item.is_latest != "true")
            )
        except S3Error as error:
            if error.code in ABSENT:
                return []
            raise

    # Markers come last: without its marker, an earlier version would be the current one.
    removed = 0
    for _, name, version in store._send("list the versions of", "/", find):
        key = name.removeprefix(prefix)
        if key.partition("/")[0] in keep:
            continue

        def remove(name: str = name, version: str = version) -> None:
            client.remove_object(bucket, name, version_id=version)

        store._send("remove a version of", key, remove)
        removed += 1
    return removed
