"""A lease as an object on S3: who holds it, until when."""

import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from mammo_core.errors import StoreError
from mammo_core.processes import start_time

#: A lease that was not renewed for this long is free to take (seconds).
TIME_TO_LIVE_S = 60.0


class _ObjectStore(Protocol):
    """What a lease needs of an S3 store."""

    @property
    def uri(self) -> str: ...
    def state(self, key: str) -> tuple[bytes, str] | None: ...
    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None: ...
    def delete(self, key: str) -> None: ...


class ObjectLease:
    """Holds `key` by conditional writes and renews it from a thread.

    A waiting process judges expiry by how long it has itself observed the lease unchanged, so
    the clocks of the processes need not agree.

    Args:
        store: The S3 store.
        key: Key of the lease object.
    """

    def __init__(self, store: _ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._owner = {
            "host": _host(),
            "pid": os.getpid(),
            "started": start_time(os.getpid()),
            "token": uuid4().hex,
        }
        self._etag: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, wait_s: float) -> None:
        """Take the lease, waiting up to `wait_s` seconds for its holder.

        Raises:
            StoreError: It is still held then.
        """
        deadline = time.monotonic() + wait_s
        observed: tuple[str, float] | None = None
        while True:
            state = self._store.state(self._key)
            if state is None:
                if self._take(None):
                    return
            else:
                data, etag = state
                if observed is None or observed[0] != etag:
                    observed = (etag, time.monotonic())
                expired = time.monotonic() - observed[1] > TIME_TO_LIVE_S
                if (expired or self._holder_ended(data)) and self._take(etag):
                    return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"Another process has been writing {self._key} for more than {wait_s:.0f} s",
                    expected="that process to end",
                    received=f"a lease that is still held in {self._store.uri}",
                    hint="wait for the other run, or stop it",
                )
            time.sleep(min(1.0, max(0.05, wait_s / 20)))

    def check(self) -> None:
        """See Lease.check."""
        if self._own_etag() is None:
            raise StoreError(
                f"The lease {self._key} was lost",
                expected="to be the only writer until the end",
                received="another writer, or none",
                hint="run the same command again",
            )

    def release(self) -> None:
        """Release the lease."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        # A lease that was taken over is not ours to delete.
        with suppress(StoreError):
            self.check()
            self._store.delete(self._key)

    def _take(self, etag: str | None) -> bool:
        self._etag = self._store.put_if(self._key, self._body(), etag)
        if self._etag is None:
            return False
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()
        return True

    def _renew(self) -> None:
        while not self._stop.wait(TIME_TO_LIVE_S / 4):
            with suppress(StoreError):
                # If the answer was lost, the tag has changed and the lease is still ours.
                renewed = self._store.put_if(self._key, self._body(), self._etag)
                self._etag = renewed or self._own_etag()
                if self._etag is None:  # taken over or removed: never written again
                    return

    def _own_etag(self) -> str | None:
        """Return the lease's entity tag if it is ours."""
        state = self._store.state(self._key)
        if state is not None:
            with suppress(ValueError, TypeError, KeyError):
                if json.loads(state[0])["token"] == self._owner["token"]:
                    return state[1]
        return None

    def _body(self) -> bytes:
        # The time makes the bytes of each renewal differ, so that the entity tag changes.
        return json.dumps({**self._owner, "renewed": time.time()}, sort_keys=True).encode()

    def _holder_ended(self, data: bytes) -> bool:
        with suppress(ValueError, TypeError, KeyError):
            owner = json.loads(data)
            if owner["host"] == self._owner["host"]:
                return bool(start_time(int(owner["pid"])) != owner["started"])
        return False


def _host() -> str:
    """Return what process ids are unique in: containers may share a host name, but not this."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(Path("/proc/self/ns/pid").readlink().name)
    return " ".join(parts)
