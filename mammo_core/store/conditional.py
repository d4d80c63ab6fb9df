"""Conditional writes (If-None-Match, If-Match) on S3.

minio's client cannot send these headers, so this is the one module that uses boto3.
"""

from collections.abc import Mapping
from typing import Any

from mammo_core.store.s3_requests import error_code
from mammo_core.store.s3_settings import ANSWER_S, CONNECT_S, S3Settings

_CONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class ConditionalWriter:
    """Writes objects of a bucket under a condition.

    Args:
        settings: Server and credentials.
        bucket: Bucket.
    """

    def __init__(self, settings: S3Settings, bucket: str) -> None:
        self._settings = settings
        self._bucket = bucket
        self._client: Any = None

    def write(
        self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None
    ) -> str | None:
        """Write if the object has this entity tag (None: if there is no object).

        Args:
            name: The object's whole name in the bucket.
            data: Its bytes.
            metadata: Stored with it.
            etag: The condition.

        Returns:
            The new entity tag; None when the condition did not hold.

        Raises:
            Exception: An error of botocore, for any other fault.
        """
        client = self._connect()  # imports botocore
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            answer = client.put_object(
                Bucket=self._bucket, Key=name, Body=data, Metadata=dict(metadata), **condition
            )
        except ClientError as error:
            code, status = error_code(error)
            failed = code in _CONDITION_FAILED or status in (404, 409, 412)
            if code == "NoSuchBucket" or not failed:
                raise
            return None
        return str(answer["ETag"]).strip('"')

    def _connect(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=self._settings.endpoint,
                aws_access_key_id=self._settings.access_key,
                aws_secret_access_key=self._settings.secret_key,
                region_name=self._settings.region,
                config=Config(
                    s3={"addressing_style": "path"},
                    connect_timeout=CONNECT_S,
                    read_timeout=ANSWER_S,
                    retries={"total_max_attempts": 1},
                    # Many S3 servers do not know the newer default checksums.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._client
