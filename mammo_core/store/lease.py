"""A lease as an object: who holds it, until when."""

import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from mammo_core.errors import StoreError
from mammo_core.processes import start_time

#: A lease that was not renewed for this long is anybody's (seconds).
TIME_TO_LIVE_S = 60.0


class _Objects(Protocol):
    uri: str

    def state(self, key: str) -> tuple[bytes, str] | None: ...
    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None: ...
    def delete(self, key: str) -> None: ...


class ObjectLease:
    """Holds `key` by conditional writes and renews it from a thread.

    Clocks: expiry is judged by how long *we* have seen the same lease unchanged, so the
    holders' clocks need not agree.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store: _Objects = store
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
            StoreError: When it is still held then.
        """
        deadline = time.monotonic() + wait_s
        seen: tuple[str, float] | None = None
        while True:
            state = self._store.state(self._key)
            if state is None:
                if self._take(None):
                    return
            else:
                data, etag = state
                if seen is None or seen[0] != etag:
                    seen = (etag, time.monotonic())
                expired = time.monotonic() - seen[1] > TIME_TO_LIVE_S
                if (expired or self._dead(data)) and self._take(etag):
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
        if self._held() is None:
            raise StoreError(
                f"The lease {self._key} was lost",
                expected="to be the only writer until the end",
                received="another writer, or none",
                hint="run the same command again",
            )

    def release(self) -> None:
        """Give the lease back."""
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
                # (An answer may have been lost: then the tag changed, the lease is still ours.)
                renewed = self._store.put_if(self._key, self._body(), self._etag)
                self._etag = renewed or self._held()
                if self._etag is None:  # taken over, or removed: never written anew
                    return

    def _held(self) -> str | None:
        """The lease's entity tag if it is ours."""
        state = self._store.state(self._key)
        if state is not None:
            with suppress(ValueError, TypeError, KeyError):
                if json.loads(state[0])["token"] == self._owner["token"]:
                    return state[1]
        return None

    def _body(self) -> bytes:
        # The time makes each renewal another object, so that its entity tag changes.
        return json.dumps({**self._owner, "renewed": time.time()}, sort_keys=True).encode()

    def _dead(self, data: bytes) -> bool:
        with suppress(ValueError, TypeError, KeyError):
            owner = json.loads(data)
            if owner["host"] == self._owner["host"]:
                return bool(start_time(int(owner["pid"])) != owner["started"])
        return False


def _host() -> str:
    """Names what process ids count in: containers may share a host's name, but not this."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(Path("/proc/self/ns/pid").readlink().name)
    return " ".join(parts)
