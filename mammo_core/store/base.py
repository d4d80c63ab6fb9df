"""The protocol of a store."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from mammo_core.errors import StoreError

#: Bytes that are read into memory at once where a caller sets no other limit; shards and models are
#: read as files (`fetch`).
MAXIMUM_READ_BYTES: Final = 2**26


class TooLargeError(StoreError):
    """The bytes of a key are more than its reader takes into memory."""


class DamagedError(StoreError):
    """The bytes of a key differ from those that were written."""


class LeaseHeldError(StoreError):
    """A lease is held by another process for longer than the caller waits."""


class LeaseLostError(StoreError):
    """A lease was taken over by another process, which saw it not renewed for its time to live."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Facts of a key, without its bytes.

    Attributes:
        key: The key.
        size: Number of its bytes.
        version: Changes whenever the bytes do: the entity tag, or the time of the last change.
        sha256: Digest of the bytes, hexadecimal; empty in listings, and where none was stored.
        modified: When it was last written, by the store's clock (seconds since 1970).
    """

    key: str
    size: int
    version: str
    sha256: str = ""
    modified: float = 0.0


class Lease(Protocol):
    """The right to write one output, held by one process at a time."""

    @property
    def generation(self) -> int:
        """How often the lease has been taken, this time included."""

    @property
    def attempt(self) -> str:
        """Names this tenure of the lease: its generation, and a random part."""

    def check(self) -> None:
        """Raise LeaseLostError if another process took the lease over."""


def print_wait(text: str) -> None:
    """Print whom a lease is waited for."""
    print(text, flush=True)


class Store(Protocol):
    """A flat space of keys (`/`-separated names) that hold bytes.

    Writes are atomic: a reader sees the old bytes or the new ones. Every method raises
    StoreError if the store cannot be reached, read or written; transient faults are retried
    first.
    """

    @property
    def uri(self) -> str:
        """The store's root: `file:///absolute/folder` or `s3://bucket/prefix`."""

    def require_exists(self) -> None:
        """Raise StoreError if the folder or bucket does not exist."""

    def read(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> bytes:
        """Return the bytes of a key; StoreError if it does not exist.

        Args:
            key: The key.
            max_bytes: Most bytes to read; TooLargeError if the key has more.
        """

    def write(self, key: str, data: bytes) -> None:
        """Write the bytes of a key atomically."""

    def write_if(self, key: str, data: bytes, previous: bytes | None) -> bool:
        """Write only if the key still holds `previous` (None: only if it does not exist).

        The comparison and the write are one: of several writers one wins.

        Returns:
            Whether it was written; False if another process was faster.
        """

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write only if the key has this entity tag (None: only if it does not exist).

        Returns:
            The new entity tag; None if another process was faster.
        """

    def state(self, key: str, max_bytes: int = MAXIMUM_READ_BYTES) -> tuple[bytes, str] | None:
        """Return the bytes and the entity tag of a key, or None if it does not exist.

        Args:
            key: The key.
            max_bytes: Most bytes to read; TooLargeError if the key has more.
        """

    def put_file(self, key: str, path: Path) -> None:
        """Copy a local file into the store atomically."""

    def fetch(self, key: str) -> Path:
        """Return a local file with the key's bytes; it must not be written to."""

    def exists(self, key: str) -> bool:
        """Whether the key holds bytes."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a folder (`prefix` ends at a `/` or is empty), sorted."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield the entries of the keys under a folder, in the order of `list`."""

    def entry(self, key: str) -> Entry | None:
        """Return the entry of one key, with its SHA-256; None if the key does not exist."""

    def sha256(self, key: str) -> str:
        """Return the digest of a key's bytes as they are stored now, never from a cache.

        Raises StoreError if the key does not exist, and DamagedError if another digest was stored
        when it was written.
        """

    def delete(self, key: str) -> None:
        """Remove a key; no error if it does not exist."""

    def unfinished_writes(self) -> Iterator[Entry]:
        """Yield the partial files that killed writers left; no listing shows them."""

    def lease_files(self) -> Iterator[Entry]:
        """Yield the entries of the files of leases; no listing shows them."""

    def lease(
        self, key: str, wait_s: float | None = None, on_wait: Callable[[str], None] = print_wait
    ) -> AbstractContextManager[Lease]:
        """Hold the exclusive right to write what `key` names.

        Waits while its owner renews it, and says every 30 s who that is. The lease of a process
        that has ended, or has not renewed it for its time to live, is taken over.

        Args:
            key: What is written.
            wait_s: Longest wait (seconds), after which LeaseHeldError is raised; None: no limit.
            on_wait: Called with a text that says who holds the lease since when.
        """


def validate_key(key: str) -> str:
    """Return the key if it is a plain relative name; reject anything else.

    Raises:
        StoreError: The key is empty or absolute, or has `.`, `..` or empty parts.
    """
    parts = key.split("/")
    if not key or "\\" in key or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StoreError(
            "A store key cannot be used",
            expected="a relative name with parts divided by '/', none of them '.', '..' or empty",
            received=repr(key),
        )
    return key


def too_large_error(uri: str, key: str, max_bytes: int) -> TooLargeError:
    """Return the error of a key with more bytes than its reader takes."""
    return TooLargeError(
        f"{key!r} in the store {uri} is too large to be what it should be",
        expected=f"at most {max_bytes} bytes",
        received="more",
        hint="another program may have written it; `mammo store verify` lists damaged outputs",
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
