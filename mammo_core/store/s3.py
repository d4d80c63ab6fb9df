"""The store on an S3 server."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from minio.error import S3Error

from mammo_core.store import scratch
from mammo_core.store.base import (
    MAXIMUM_READ_BYTES,
    DamagedError,
    Entry,
    TooLargeError,
    file_sha256,
    print_wait,
    validate_key,
)
from mammo_core.store.conditional import ConditionalWriter
from mammo_core.store.lease import LEASES, ObjectLease, hold
from mammo_core.store.probe import require_tested
from mammo_core.store.s3_requests import ABSENT, PIECE_BYTES, S3Requests, create_bucket
from mammo_core.store.s3_settings import S3Settings, minio_client

#: Name of the metadata that holds an object's digest, and its header.
_SHA256: Final = "sha256"
_SHA256_HEADER: Final = f"x-amz-meta-{_SHA256}"
#: Size of the parts that a large file is sent in (bytes).
_PART: Final = 16 * 2**20


class S3Store:
    """A store in a bucket of an S3 server.

    Args:
        settings: Server and credentials.
        bucket: Bucket; created if it is absent and we have the right to.
        prefix: Folder in the bucket, without slashes at its ends; may be empty.
    """

    def __init__(self, settings: S3Settings, bucket: str, prefix: str = "") -> None:
        self._settings = settings
        self._bucket = bucket
        if prefix:
            validate_key(prefix)
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = minio_client(settings)
        self._conditional = ConditionalWriter(settings, bucket)
        #: Address of the server, and how it names itself.
        self.endpoint = settings.endpoint
        # No method of this store: in a cycle of references, its connections would stay open.
        create = partial(create_bucket, self._client, bucket)
        requests = S3Requests(self.uri, bucket, settings.endpoint, settings.secret_key, create)
        self._send, self._missing_error = requests.send, requests.missing_error
        self._missing_bucket_error = requests.missing_bucket_error
        self._read_body = requests.read_body

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def require_exists(self) -> None:
        """See Store.require_exists."""
        if not self._send("look up", "/", lambda: self._client.bucket_exists(self._bucket)):
            raise self._missing_bucket_error()

    def read(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> bytes:
        """See Store.read; the stored SHA-256 is checked."""

        def get() -> bytes:
            with self._response(key) as response:
                data = self._read_body(response, key, max_bytes)
                stored = response.headers.get(_SHA256_HEADER)
            self._require_digest(key, stored, _digest(data))
            return data

        return self._send("read", key, get)

    def read_start(self, key: str, size: int) -> bytes:
        """Return the first bytes of an object, not checked against its digest.

        Args:
            key: Key of an object that is not empty.
            size: How many bytes at most.
        """

        def get() -> bytes:
            with self._response(key, 0, size) as response:
                return bytes(response.read())

        return self._send("read", key, get)

    def sha256(self, key: str) -> str:
        """See Store.sha256: the object is read in pieces and not kept."""

        def get() -> str:
            digest = hashlib.sha256()
            with self._response(key) as response:
                for piece in response.stream(PIECE_BYTES):
                    digest.update(piece)
                stored = response.headers.get(_SHA256_HEADER)
            self._require_digest(key, stored, digest.hexdigest())
            return digest.hexdigest()

        return self._send("read", key, get)

    def fetch(self, key: str) -> Path:
        """See Store.fetch: a file of the scratch cache, fetched again if the object changed."""
        etag = self._etag(key)
        if etag is None:
            raise self._missing_error(key)
        name = hashlib.sha256(f"{self._settings.endpoint}{self.uri}/{key}{etag}".encode())
        final = scratch.folder() / name.hexdigest() / Path(key).name
        scratch.use(final)
        if final.is_file():
            return final

        def get() -> None:
            final.parent.mkdir(parents=True, exist_ok=True)
            with scratch.part_folder() as folder:
                part = folder / "part"
                stored = self._client.fget_object(self._bucket, self._name(key), str(part))
                self._require_digest(key, _stored_digest(stored.metadata), file_sha256(part))
                part.replace(final)

        self._send("read", key, get)
        scratch.prune()
        return final

    def write(self, key: str, data: bytes) -> None:
        """See Store.write."""
        metadata = {_SHA256: _digest(data)}

        def put() -> None:
            self._client.put_object(
                self._bucket, self._name(key), io.BytesIO(data), len(data), metadata=metadata
            )

        self._send("write", key, put)

    def write_if(self, key: str, data: bytes, previous: bytes | None) -> bool:
        """See Store.write_if."""
        if previous is None:
            return self.put_if(key, data, None) is not None
        etag = self._etag_of_bytes(key, previous)
        return etag is not None and self.put_if(key, data, etag) is not None

    @property
    def server(self) -> str:
        """How the server named itself in its last answer to a conditional write."""
        return self._conditional.server

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write if the object has this entity tag (None: if there is no object).

        Returns:
            The new entity tag; None when the condition did not hold.
        """
        metadata = {_SHA256: _digest(data)}
        attempts = 0

        def put() -> str | None:
            nonlocal attempts
            attempts += 1
            written = self._conditional.write(self._name(key), data, metadata, etag)
            if written is None and attempts > 1:
                # The first attempt may have written, and only its answer been lost.
                return self._etag_of_bytes(key, data)
            return written

        return self._send("write", key, put)

    def put_file(self, key: str, path: Path) -> None:
        """See Store.put_file; large files are sent in parts."""

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
                entry = self.entry(key) if error.code == "NoSuchUpload" else None
                if entry is None or entry.sha256 != digest:
                    raise
                # It was completed, and only the answer was lost.

        self._send("write", key, put)

    def delete(self, key: str) -> None:
        """See Store.delete."""

        def remove() -> None:
            try:
                self._client.remove_object(self._bucket, self._name(key))
            except S3Error as error:
                if error.code not in ABSENT:
                    raise

        self._send("delete", key, remove)

    def exists(self, key: str) -> bool:
        """See Store.exists."""
        return self._etag(key) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """See Store.list."""
        for entry in self.entries(prefix):
            yield entry.key

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Store.entries."""
        top = f"{validate_key(prefix.rstrip('/'))}/" if prefix else ""
        for entry in self._entries(top):
            if not any(part.startswith(".") for part in entry.key.split("/")):
                yield entry

    def _entries(self, prefix: str) -> Iterator[Entry]:
        top, start = self._prefix + prefix, len(self._prefix)

        def get() -> list[Entry]:
            objects = self._client.list_objects(self._bucket, prefix=top, recursive=True)
            try:
                entries = [
                    Entry(
                        item.object_name[start:],
                        item.size or 0,
                        item.etag or "",
                        modified=item.last_modified.timestamp() if item.last_modified else 0.0,
                    )
                    for item in objects
                ]
            except S3Error as error:
                if error.code in ABSENT:
                    return []
                raise
            return sorted(entries, key=lambda entry: entry.key)

        yield from self._send("list", prefix or "/", get)

    def entry(self, key: str) -> Entry | None:
        """See Store.entry: the digest is the one that was stored with the object."""

        def get() -> Entry | None:
            try:
                item = self._client.stat_object(self._bucket, self._name(key))
            except S3Error as error:
                if error.code in ABSENT:
                    return None
                raise
            modified = item.last_modified.timestamp() if item.last_modified else 0.0
            digest = _stored_digest(item.metadata)
            return Entry(key, item.size or 0, str(item.etag), digest, modified)

        return self._send("look up", key, get)

    def unfinished_writes(self) -> Iterator[Entry]:
        """See Store.unfinished_writes: the server expires parts of uploads by itself."""
        yield from ()

    def lease(
        self, key: str, wait_s: float | None = None, on_wait: Callable[[str], None] = print_wait
    ) -> AbstractContextManager[ObjectLease]:
        """See Store.lease: an object that a thread renews."""
        # With an ending: where objects are files (SeaweedFS), `a` and `a/b` exclude each other.
        file = f"{LEASES}/{validate_key(key)}.lease"
        require_tested(self)
        return hold(self, file, key, wait_s, on_wait)

    def lease_files(self) -> Iterator[Entry]:
        """See Store.lease_files."""
        yield from self._entries(f"{LEASES}/")

    def state(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> tuple[bytes, str] | None:
        """Return an object's bytes and entity tag, or None when there is none."""

        def get() -> tuple[bytes, str] | None:
            try:
                with self._response(key) as response:
                    data = self._read_body(response, key, max_bytes)
                    headers = response.headers
            except S3Error as error:
                if error.code in ABSENT:
                    return None
                raise
            self._require_digest(key, headers.get(_SHA256_HEADER), _digest(data))
            return data, str(headers["etag"]).strip('"')

        return self._send("read", key, get)

    def _name(self, key: str) -> str:
        return self._prefix + validate_key(key)

    def _etag_of_bytes(self, key: str, data: bytes) -> str | None:
        """Return the entity tag of an object that has these bytes; None if it has others."""
        try:
            state = self.state(key, len(data))
        except TooLargeError:
            return None
        return state[1] if state is not None and state[0] == data else None

    def _etag(self, key: str) -> str | None:
        entry = self.entry(key)
        return None if entry is None else entry.version

    @contextmanager
    def _response(self, key: str, offset: int = 0, length: int = 0) -> Iterator[Any]:
        """Get an object's bytes from an offset on (length 0: all) as an open response."""
        response = self._client.get_object(self._bucket, self._name(key), offset, length)
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def _require_digest(self, key: str, stored: str | None, received: str) -> None:
        if stored and stored != received:
            raise DamagedError(
                f"The bytes of {key!r} in {self.uri} are damaged",
                expected=f"SHA-256 {stored}",
                received=f"SHA-256 {received}",
            )


def _stored_digest(metadata: Mapping[str, Any] | None) -> str:
    """Return the digest that was stored with an object; empty if none was."""
    return str((metadata or {}).get(_SHA256_HEADER) or "")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
