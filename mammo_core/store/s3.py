"""The store on an S3 server."""

import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from mammo_core.errors import StoreError
from mammo_core.store.base import LEASE_WAIT_S, check_key, file_sha256
from mammo_core.store.lease import ObjectLease

_Result = TypeVar("_Result")

_SHA256 = "sha256"
#: Size of the local cache of fetched objects (bytes).
_SCRATCH_BYTES = 20 * 2**30
_ABSENT = ("NoSuchKey", "NoSuchObject", "NoSuchBucket")


@dataclass(frozen=True)
class S3Settings:
    """Where the server is and who asks.

    Attributes:
        endpoint: `http://host:port` or `https://host`.
        access_key: Never printed.
        secret_key: Never printed.
        region: Region that requests are signed for.
    """

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "S3Settings":
        """Read MAMMO_S3_ENDPOINT, …_ACCESS_KEY, …_SECRET_KEY, …_REGION, or the AWS names.

        Raises:
            StoreError: When one is missing; names which.
        """

        def find(name: str, *aliases: str, default: str | None = None) -> str:
            for alias in (name, *aliases):
                if environment.get(alias):
                    return environment[alias]
            if default is not None:
                return default
            raise StoreError(
                "The S3 store cannot be opened",
                expected=f"{name} (or {' or '.join(aliases)}) in the environment",
                received="none",
                hint="credentials come from the environment or a Kubernetes Secret only",
            )

        return cls(
            endpoint=find("MAMMO_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            access_key=find("MAMMO_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            secret_key=find("MAMMO_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
            region=find("MAMMO_S3_REGION", "AWS_REGION", default="us-east-1"),
        )


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
        self._prefix = f"{prefix}/" if prefix else ""
        parts = urlsplit(settings.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise StoreError(
                "The S3 endpoint cannot be used",
                expected="http://host:port or https://host",
                received=repr(settings.endpoint),
            )
        self._client = Minio(
            parts.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            region=settings.region,
            secure=parts.scheme == "https",
            # Our own retries see every fault; the client's would hide them.
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=60), retries=False, maxsize=16
            ),
        )
        self._conditional: Any = None
        self._bucket_seen = False

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

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
        return self.put_if(key, data, etag)

    def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write if the object has this entity tag (None: if there is no object)."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}

        def put() -> bool:
            try:
                self._conditional_client().put_object(
                    Bucket=self._bucket,
                    Key=self._name(key),
                    Body=data,
                    Metadata={_SHA256: hashlib.sha256(data).hexdigest()},
                    **condition,
                )
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                code = error.response.get("Error", {}).get("Code")
                lost = code in ("PreconditionFailed", "ConditionalRequestConflict", *_ABSENT)
                if lost or status in (404, 409, 412):
                    return False
                raise
            return True

        return self._call("write", key, put)

    def put_file(self, key: str, path: Path) -> None:
        """See Store.put_file; large files go in parts."""
        digest = file_sha256(path)
        self._call(
            "write",
            key,
            lambda: self._client.fput_object(
                self._bucket, self._name(key), str(path), metadata={_SHA256: digest}
            ),
        )

    def fetch(self, key: str) -> Path:
        """See Store.fetch: a file of the scratch cache, made anew when the object changed."""
        etag = self._etag(key)
        if etag is None:
            raise self._missing(key)
        name = hashlib.sha256(f"{self._settings.endpoint}{self.uri}/{key}{etag}".encode())
        final = scratch_folder() / name.hexdigest() / Path(key).name
        if final.is_file():
            with suppress(OSError):
                os.utime(final)
            return final
        final.parent.mkdir(parents=True, exist_ok=True)

        def get() -> None:
            with tempfile.TemporaryDirectory(dir=final.parent) as aside:
                part = Path(aside) / "part"
                stored = self._client.fget_object(self._bucket, self._name(key), str(part))
                told = stored.metadata.get(f"x-amz-meta-{_SHA256}") if stored.metadata else None
                _check_digest(self.uri, key, told, file_sha256(part))
                part.replace(final)

        self._call("read", key, get)
        _prune(scratch_folder(), keep=final)
        return final

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._etag(key) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """See Store.list."""
        top = self._prefix + (f"{check_key(prefix.rstrip('/'))}/" if prefix else "")

        def names() -> list[str]:
            found = self._client.list_objects(self._bucket, prefix=top, recursive=True)
            return sorted(item.object_name[len(self._prefix) :] for item in found)

        for name in self._call("list", prefix or "/", names):
            if not any(part.startswith(".") for part in name.split("/")):
                yield name

    def delete(self, key: str) -> None:
        """See Store.delete."""
        self._call(
            "delete", key, lambda: self._client.remove_object(self._bucket, self._name(key))
        )

    @contextmanager
    def lease(self, key: str, wait_s: float = LEASE_WAIT_S) -> Iterator[ObjectLease]:
        """See Store.lease: an object with a time of expiry that a thread renews."""
        lease = ObjectLease(self, f".leases/{check_key(key)}")
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
        return self._prefix + check_key(key)

    def _etag(self, key: str) -> str | None:
        def stat() -> str | None:
            try:
                found = self._client.stat_object(self._bucket, self._name(key))
            except S3Error as error:
                if error.code in _ABSENT:
                    return None
                raise
            return str(found.etag)

        return self._call("look up", key, stat)

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
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
            )
        return self._conditional

    def _make_bucket(self) -> None:
        if not self._bucket_seen:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)
            self._bucket_seen = True

    def _call(self, verb: str, key: str, work: Callable[[], _Result]) -> _Result:
        def attempt() -> _Result:
            if verb == "write":
                self._make_bucket()
            return work()

        try:
            return Retrying(
                stop=stop_after_attempt(5),
                wait=wait_exponential_jitter(initial=0.2, max=5),
                retry=retry_if_exception(_transient),
                reraise=True,
            )(attempt)
        except S3Error as error:
            if error.code in _ABSENT:
                raise self._missing(key) from error
            raise self._fault(verb, key, f"{error.code}: {error.message}") from error
        except StoreError:
            raise
        except Exception as error:
            raise self._fault(verb, key, f"{type(error).__name__}: {error}") from error

    def _missing(self, key: str) -> StoreError:
        return StoreError(
            f"The store {self.uri} has no {key!r}",
            expected="a key that was written before",
            received="none of that name",
        )

    def _fault(self, verb: str, key: str, received: str) -> StoreError:
        return StoreError(
            f"Cannot {verb} {key!r} in the store {self.uri}",
            expected=f"an S3 server that answers at {self._settings.endpoint}, and the right to",
            received=received.replace(self._settings.secret_key, "…"),
        )


def scratch_folder() -> Path:
    """The local cache of fetched objects: MAMMO_SCRATCH, or a folder under the temporary one."""
    told = os.environ.get("MAMMO_SCRATCH")
    folder = Path(told) if told else Path(tempfile.gettempdir()) / f"mammo-scratch-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


_PRUNING = threading.Lock()


def _prune(folder: Path, keep: Path, bound: int = _SCRATCH_BYTES) -> None:
    """Remove the files used longest ago until the cache fits its bound."""
    with _PRUNING:
        files = []
        for path in folder.glob("*/*"):
            with suppress(OSError):
                if path.is_file():
                    files.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= bound:
                break
            if path != keep:
                shutil.rmtree(path.parent, ignore_errors=True)
                total -= size


def _check_digest(uri: str, key: str, told: str | None, found: str) -> None:
    if told and told != found:
        raise StoreError(
            f"The bytes of {key!r} in {uri} are damaged",
            expected=f"SHA-256 {told}",
            received=f"SHA-256 {found}",
        )


def _transient(error: BaseException) -> bool:
    if isinstance(error, S3Error):
        return error.code in ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")
    if isinstance(error, (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError)):
        return True
    return type(error).__name__ in ("EndpointConnectionError", "ConnectionClosedError")
