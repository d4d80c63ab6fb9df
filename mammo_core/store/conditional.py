"""Conditional writes (If-None-Match, If-Match) on S3."""

from collections.abc import Mapping
from typing import Any

from minio.error import S3Error

from mammo_core.store.s3_requests import error_code
from mammo_core.store.s3_settings import S3Settings, minio_client

_CONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class ConditionalWriter:
    """Writes objects of a bucket under a condition.

    Args:
        settings: Server and credentials.
        bucket: Bucket.

    Attributes:
        server: How the server named itself in its last answer.
    """

    def __init__(self, settings: S3Settings, bucket: str) -> None:
        self._settings = settings
        self._bucket = bucket
        self._client: Any = None
        self.server = ""

    def write(
        self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None
    ) -> str | None:
        """Write if the object has this entity tag (None: if there is no object).

        Sent once: after a lost answer the caller must look who has won.

        Args:
            name: The object's whole name in the bucket.
            data: Its bytes.
            metadata: Stored with it.
            etag: The condition.

        Returns:
            The new entity tag; None when the condition did not hold.

        Raises:
            S3Error: Any other answer than success.
            HTTPError: The server does not answer.
        """
        if self._client is None:
            self._client = minio_client(self._settings, repeats=0)
        headers = {f"x-amz-meta-{key}": value for key, value in metadata.items()}
        headers["Content-Type"] = "application/octet-stream"
        headers |= {"If-None-Match": "*"} if etag is None else {"If-Match": f'"{etag}"'}
        try:
            # The public method knows no conditions.
            result = self._client._put_object(self._bucket, name, data, headers)
        except S3Error as error:
            self.server = error.response.headers.get("server", "")
            code, status = error_code(error)
            failed = code in _CONDITION_FAILED or status in (404, 409, 412)
            if code == "NoSuchBucket" or not failed:
                raise
            return None
        self.server = result.http_headers.get("server", "")
        return str(result.etag)
