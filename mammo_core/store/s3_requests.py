"""Requests to an S3 server: which faults are retried, and the errors of the others."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_exponential_jitter,
)

from mammo_core.errors import StoreError
from mammo_core.store.base import DamagedError, too_large_error
from mammo_core.store.certificates import CA_BUNDLE
from mammo_core.store.file import DISK_FULL

_Result = TypeVar("_Result")

#: Size of the pieces that a response is read in (bytes).
PIECE_BYTES: Final = 2**20
#: How long faults are retried (seconds).
RETRY_S = 10.0
#: How often bytes that arrived damaged are requested again.
_DAMAGED_RETRIES = 2
#: Codes of a bucket or object that does not exist.
ABSENT = ("NoSuchKey", "NoSuchObject", "NoSuchBucket")
# A multipart upload is gone when it was completed and only the answer was lost.
_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "NoSuchUpload")
# Whoever asks is unknown, or has no such right; a full server.
_DENIED = (
    *("AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp", "ExpiredToken"),
    *("InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"),
)
_UNREACHED = (
    urllib3.exceptions.ConnectTimeoutError,  # no connection at all is one, too
    urllib3.exceptions.SSLError,
)
_FULL = ("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded")


class UnusableStoreError(StoreError):
    """The server, the bucket or the credentials cannot be used: it is not about one key.

    Every other key would meet the same fault, so whoever works on many of them stops.
    """


class S3Requests:
    """Sends the requests of one store and converts their faults.

    Args:
        uri: URI of the store, for messages.
        bucket: Its bucket, for messages.
        endpoint: Endpoint of the server, for messages.
        secret_key: Never part of a message.
        create_bucket: Called when the bucket is missing at a write.
    """

    def __init__(
        self,
        uri: str,
        bucket: str,
        endpoint: str,
        secret_key: str,
        create_bucket: Callable[[], None],
    ) -> None:
        self._uri = uri
        self._bucket = bucket
        self._endpoint = endpoint
        self._secret_key = secret_key
        self._create_bucket = create_bucket

    def send(self, verb: str, key: str, request: Callable[[], _Result]) -> _Result:
        """Make a request and return its result; transient faults are retried.

        Args:
            verb: What it does (`read`, `write` …), for messages.
            key: The key concerned.
            request: Calls the client; may be called several times.

        Raises:
            StoreError: The request failed for good.
        """
        try:
            return Retrying(
                # Both: a server that restarts is waited for, an absent one is reported soon.
                stop=stop_all(stop_after_attempt(3), stop_after_delay(RETRY_S)),
                wait=wait_exponential_jitter(initial=0.2, max=3, jitter=0.2),
                retry=retry_if_exception(is_transient),
                reraise=True,
            )(lambda: self._try_once(verb, request))
        except Exception as error:
            # The frames of the attempts are in a cycle, with the store and its connections.
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, StoreError):
                raise
            raise self._as_store_error(verb, key, error) from error

    def read_body(self, response: Any, key: str, max_bytes: int) -> bytes:
        """Return the bytes of an open response; TooLargeError if there are more."""
        pieces, size = [], 0
        for piece in response.stream(PIECE_BYTES):
            size += len(piece)
            if size > max_bytes:
                raise too_large_error(self._uri, key, max_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    def missing_error(self, key: str, received: str = "none of that name") -> StoreError:
        """Return the error of a key that the store does not have."""
        return StoreError(
            f"The store {self._uri} has no {key!r}",
            expected="a key that was written before",
            received=received,
        )

    def missing_bucket_error(self) -> UnusableStoreError:
        """Return the error of a bucket that does not exist."""
        return UnusableStoreError(
            f"There is no bucket {self._bucket!r} at {self._endpoint}",
            expected="the name of a bucket of this server",
            received=f"the store {self._uri}",
            hint="correct the name, or create the bucket with credentials that may do so",
        )

    def _try_once(self, verb: str, request: Callable[[], _Result]) -> _Result:
        try:
            return _read_again_if_damaged(request)
        except Exception as error:
            if verb != "write" or error_code(error)[0] != "NoSuchBucket":
                raise
        try:
            self._create_bucket()
        except S3Error as error:
            if error_code(error)[0] in _DENIED:
                raise self.missing_bucket_error() from error
            raise
        return _read_again_if_damaged(request)

    def _as_store_error(self, verb: str, key: str, error: Exception) -> StoreError:
        problem = f"Cannot {verb} {key!r} in the store {self._uri}"
        if isinstance(error, OSError) and (error.filename or error.errno in DISK_FULL):
            # A local disk, not the server.
            full = error.errno in DISK_FULL
            return StoreError(
                problem,
                expected="space on the disk" if full else "a disk that can be read",
                received=error.strerror or str(error),
            )
        if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
            error = error.reason
        code, _ = error_code(error)
        if code in ABSENT:
            return self.missing_bucket_error() if "Bucket" in code else self.missing_error(key)
        text = f"{code or type(error).__name__}: {getattr(error, 'message', None) or error}"
        unusable = code in (*_DENIED, *_FULL) or isinstance(error, _UNREACHED)
        hint = None
        if _is_untrusted(error):
            hint = f"{CA_BUNDLE} names the authorities that are trusted"
        elif code in _DENIED:
            hint = (
                "use the credentials of a role that has this right, and look at the bucket's name"
            )
        return (UnusableStoreError if unusable else StoreError)(
            problem,
            expected=f"an S3 server that answers at {self._endpoint}, and the right to {verb}",
            received=text.replace(self._secret_key, "…"),
            hint=hint,
        )


def create_bucket(client: Any, bucket: str) -> None:
    """Create a bucket, unless another process was faster."""
    try:
        client.make_bucket(bucket)
    except S3Error as error:
        if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _read_again_if_damaged(request: Callable[[], _Result]) -> _Result:
    for _ in range(_DAMAGED_RETRIES):
        with suppress(DamagedError):  # perhaps damaged on the way
            return request()
    return request()


def error_code(error: BaseException) -> tuple[str, int]:
    """Return the S3 error code and HTTP status of a fault; ("", 0) for others."""
    if isinstance(error, S3Error):
        return str(error.code), int(getattr(error.response, "status", 0) or 0)
    return "", 0


def _is_untrusted(error: BaseException) -> bool:
    """Whether the certificate of the server was refused."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is sent again."""
    code, status = error_code(error)
    if code:
        return code in _BUSY or status >= 500
    if _is_untrusted(error):
        return False
    # ParseError: the text of an error arrived damaged.
    return isinstance(
        error, (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, ParseError)
    )
