"""The store on an S3 server."""

import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import S3Error
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_exponential_jitter,
)

from mammo_core.errors import StoreError
from mammo_core.store import scratch
from mammo_core.store.base import LEASE_WAIT_S, DamagedError, Entry, file_sha256, validate_key
from mammo_core.store.file import FULL
from mammo_core.store.lease import TIME_TO_LIVE_S, ObjectLease
from mammo_core.store.s3_faults import code_of, transient
from mammo_core.store.s3_settings import ANSWER_S, CONNECT_S, S3Settings, http_pool

_Result = TypeVar("_Result")

_SHA256 = "sha256"
#: How long faults are retried (seconds).
_RETRY_S = 10.0
#: Size of the parts that a large file is sent in (bytes).
_PART = 16 * 2**20
#: How often bytes that came damaged are asked for again.
_DAMAGED = 2
_ABSENT = ("NoSuchKey", "NoSuchObject", "NoSuchBucket")
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class S3Store:
    """A store in a bucket of an S3 server.

    Args:
        settings: Server and credentials.
        bucket: Bucket; made when it is absent and we may.
        prefix: Folder in the bucket, without slashes at its ends; may be empty.
    """

    def __init__(self, settings: S3Settings, bucket: str, prefix: str = "") -> None:
        self._settings = settings
        self._bucket = bucket
        if prefix:
            validate_key(prefix)
        self._prefix = f"{prefix}/" if prefix else ""
        parts = urlsplit(settings.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            raise StoreError(
                "The S3 endpoint cannot be used",
                expected="http://host:port or https://host",
                # Not as told: it may hold a password.
                received="credentials in it" if "@" in parts.netloc else repr(settings.endpoint),
            )
        self._client = Minio(
            parts.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            region=settings.region,
            secure=parts.scheme == "https",
            http_client=http_pool(),
        )
        self._conditional: Any = None

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def require_exists(self) -> None:
        """See Store.require_exists."""
        there = self._call("look up", "/", lambda: self._client.bucket_exists(self._bucket))
        if not there:
            raise StoreError(
                f"There is no store at {self.uri}",
                expected=f"a bucket {self._bucket} at {self._settings.endpoint}",
                received="no bucket of that name",
            )

    def read(self, key: str) -> bytes:
        """See Store.read; the stored SHA-256 is checked."""

        def get() -> bytes:
            response = self._client.get_object(self._bucket, self._name(key))
            try:
                data = bytes(response.read())
                told = response.headers.get(f"x-amz-meta-{_SHA256}")
            finally:
                response.close()
                response.release_conn()
            _check_digest(self.uri, key, told, hashlib.sha256(data).hexdigest())
            return data

        return self._call("read", key, get)

    def write(self, key: str, data: bytes) -> None:
        """See Store.write."""
        digest = hashlib.sha256(data).hexdigest()
        self._call(
            "write",
            key,
            lambda: self._client.put_object(
                self._bucket,
                self._name(key),
                io.BytesIO(data),
                len(data),
                metadata={_SHA256: digest},
            ),
        )

    def write_if(self, key: str, data: bytes, previous: bytes | None) -> bool:
        """See Store.write_if: If-None-Match and If-Match, which only boto3 can send."""
        etag: str | None = None
        if previous is not None:
            if not self.exists(key) or self.read(key) != previous:
                return False
            etag = self._etag(key)
            # The bytes were read before the tag: read again, so that both are of one write.
            if etag is None or self.read(key) != previous:
                return False
        return self.put_if(key, data, etag) is not None

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write if the object has this entity tag (None: if there is no object).

        Returns:
            The new entity tag; None when the condition did not hold.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        tried = 0

        def put() -> str | None:
            nonlocal tried
            tried += 1
            try:
                answer = self._conditional_client().put_object(
                    Bucket=self._bucket,
                    Key=self._name(key),
                    Body=data,
                    Metadata={_SHA256: hashlib.sha256(data).hexdigest()},
                    **condition,
                )
            except ClientError as error:
                code, status = code_of(error)
                if code == "NoSuchBucket" or (code not in _LOST and status not in (404, 409, 412)):
                    raise
                # The first try may have written, and only its answer been lost.
                state = self.state(key) if tried > 1 else None
                return state[1] if state is not None and state[0] == data else None
            return str(answer["ETag"]).strip('"')

        return self._call("write", key, put)

    def put_file(self, key: str, path: Path) -> None:
        """See Store.put_file; large files go in parts."""

        def put() -> None:
            digest = file_sha256(path)
            try:
                self._client.fput_object(
                    self._bucket,
                    self._name(key),
                    str(path),
                    metadata={_SHA256: digest},
                    part_size=_PART,
                )
            except S3Error as error:
                found = self.entry(key) if error.code == "NoSuchUpload" else None
                if found is None or found.sha256 != digest:
                    raise
                # It was completed, and only the answer was lost.

        self._call("write", key, put)

    def fetch(self, key: str) -> Path:
        """See Store.fetch: a file of the scratch cache, made anew when the object changed."""
        etag = self._etag(key)
        if etag is None:
            raise self._missing(key)
        name = hashlib.sha256(f"{self._settings.endpoint}{self.uri}/{key}{etag}".encode())
        final = scratch.folder() / name.hexdigest() / Path(key).name
        scratch.use(final)
        if final.is_file():
            return final

        def get() -> None:
            final.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=final.parent) as aside:
                part = Path(aside) / "part"
                stored = self._client.fget_object(self._bucket, self._name(key), str(part))
                told = stored.metadata.get(f"x-amz-meta-{_SHA256}") if stored.metadata else None
                _check_digest(self.uri, key, told, file_sha256(part))
                part.replace(final)

        self._call("read", key, get)
        scratch.prune()
        return final

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._etag(key) is not None

    def read_start(self, key: str, size: int) -> bytes:
        """Return the first bytes of an object, not checked against its digest.

        Args:
            key: Key of an object that is not empty.
            size: How many bytes at most.
        """

        def get() -> bytes:
            response = self._client.get_object(self._bucket, self._name(key), 0, size)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        return self._call("read", key, get)

    def list(self, prefix: str) -> Iterator[str]:
        """See Store.list."""
        for entry in self.entries(prefix):
            yield entry.key

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Store.entries."""
        top = self._prefix + (f"{validate_key(prefix.rstrip('/'))}/" if prefix else "")
        start = len(self._prefix)

        def found() -> list[Entry]:
            objects = self._client.list_objects(self._bucket, prefix=top, recursive=True)
            try:
                told = [
                    Entry(
                        o.object_name[start:],
                        o.size or 0,
                        o.etag or "",
                        modified=o.last_modified.timestamp() if o.last_modified else 0.0,
                    )
                    for o in objects
                ]
            except S3Error as error:
                if error.code in _ABSENT:
                    return []
                raise
            return sorted(told, key=lambda entry: entry.key)

        for entry in self._call("list", prefix or "/", found):
            if not any(part.startswith(".") for part in entry.key.split("/")):
                yield entry

    def entry(self, key: str) -> Entry | None:
        """See Store.entry: the digest is what the writer told."""

        def stat() -> Entry | None:
            try:
                found = self._client.stat_object(self._bucket, self._name(key))
            except S3Error as error:
                if error.code in _ABSENT:
                    return None
                raise
            told = (found.metadata or {}).get(f"x-amz-meta-{_SHA256}", "")
            modified = found.last_modified.timestamp() if found.last_modified else 0.0
            return Entry(key, found.size or 0, str(found.etag), str(told), modified)

        return self._call("look up", key, stat)

    def sha256(self, key: str) -> str:
        """See Store.sha256: the object is read in pieces and not kept."""

        def digest() -> str:
            response = self._client.get_object(self._bucket, self._name(key))
            found = hashlib.sha256()
            try:
                for piece in response.stream(2**20):
                    found.update(piece)
                told = response.headers.get(f"x-amz-meta-{_SHA256}")
            finally:
                response.close()
                response.release_conn()
            _check_digest(self.uri, key, told, found.hexdigest())
            return found.hexdigest()

        return self._call("read", key, digest)

    def unfinished_writes(self) -> Iterator[Entry]:
        """See Store.unfinished_writes: parts of uploads are the server's to expire."""
        yield from ()

    def is_leased(self, key: str) -> bool:
        """See Store.is_leased: its holder renews a lease several times in its time to live."""
        found = self.entry(f".leases/{validate_key(key)}")
        # Clocks of two machines may differ by a little.
        return found is not None and time.time() - found.modified < 5 * TIME_TO_LIVE_S

    def delete(self, key: str) -> None:
        """See Store.delete."""

        def remove() -> None:
            try:
                self._client.remove_object(self._bucket, self._name(key))
            except S3Error as error:
                if error.code not in _ABSENT:
                    raise

        self._call("delete", key, remove)

    @contextmanager
    def lease(self, key: str, wait_s: float = LEASE_WAIT_S) -> Iterator[ObjectLease]:
        """See Store.lease: an object with a time of expiry that a thread renews."""
        lease = ObjectLease(self, f".leases/{validate_key(key)}")
        lease.acquire(wait_s)
        try:
            yield lease
        finally:
            lease.release()

    def state(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and entity tag, or None when there is none."""
        for _ in range(5):
            etag = self._etag(key)
            if etag is None:
                return None
            try:
                data = self.read(key)
            except StoreError:
                if self.exists(key):
                    raise
                return None
            if self._etag(key) == etag:
                return data, etag
        return None

    def _name(self, key: str) -> str:
        return self._prefix + validate_key(key)

    def _etag(self, key: str) -> str | None:
        found = self.entry(key)
        return None if found is None else found.version

    def _conditional_client(self) -> Any:
        if self._conditional is None:
            import boto3
            from botocore.config import Config

            self._conditional = boto3.session.Session().client(
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
                    # Newer default checksums are unknown to many S3 servers.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._conditional

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            # Another process was faster.
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def _call(self, verb: str, key: str, work: Callable[[], _Result]) -> _Result:
        def attempt() -> _Result:
            for _ in range(_DAMAGED):
                with suppress(DamagedError):  # on the way, perhaps: read anew
                    return work()
            return work()

        def attempt_with_bucket() -> _Result:
            try:
                return attempt()
            except Exception as error:
                if verb != "write" or code_of(error)[0] != "NoSuchBucket":
                    raise
            self._make_bucket()
            return attempt()

        try:
            return Retrying(
                # Both: a server that restarts is waited for, one that is away is told soon.
                stop=stop_all(stop_after_attempt(3), stop_after_delay(_RETRY_S)),
                wait=wait_exponential_jitter(initial=0.2, max=3, jitter=0.2),
                retry=retry_if_exception(transient),
                reraise=True,
            )(attempt_with_bucket)
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and (
                error.filename or error.errno in FULL
            ):  # a disk of ours
                told = error.strerror or str(error)
                raise self._fault(verb, key, told, error.errno) from error
            if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
                error = error.reason
            code, _ = code_of(error)
            if code in _ABSENT:
                raise self._missing(key, bucket=code != "NoSuchBucket") from error
            kind, text = code or type(error).__name__, getattr(error, "message", None) or error
            raise self._fault(verb, key, f"{kind}: {text}") from error

    def _missing(self, key: str, bucket: bool = True) -> StoreError:
        return StoreError(
            f"The store {self.uri} has no {key!r}",
            expected="a key that was written before",
            received="none of that name" if bucket else f"no bucket {self._bucket} at all",
        )

    def _fault(self, verb: str, key: str, received: str, number: int | None = None) -> StoreError:
        expected = (
            f"an S3 server that answers at {self._settings.endpoint}, and the right to {verb}"
        )
        if number is not None:  # not the server: a file of ours
            expected = "space on the disk" if number in FULL else "a disk that can be read"
        return StoreError(
            f"Cannot {verb} {key!r} in the store {self.uri}",
            expected=expected,
            received=received.replace(self._settings.secret_key, "…"),
        )


def _check_digest(uri: str, key: str, told: str | None, found: str) -> None:
    if told and told != found:
        raise DamagedError(
            f"The bytes of {key!r} in {uri} are damaged",
            expected=f"SHA-256 {told}",
            received=f"SHA-256 {found}",
        )
