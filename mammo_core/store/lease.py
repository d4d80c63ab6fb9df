"""Leases: who may write an output, renewed while its process works.

A lease is a small JSON file under `.leases/` that is swapped by conditional writes. Its generation
grows by one each time it is taken, and with its token is what a publication is checked against. No
clock is compared with another: a waiter takes a lease over that it has itself seen unchanged for as
long as the lease says, by its own monotonic clock, or whose process has ended on this machine.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from mammo_core.documents import parse_json
from mammo_core.errors import StoreError
from mammo_core.processes import start_time
from mammo_core.store.base import Entry, LeaseHeldError, LeaseLostError, Store

#: Folder of the leases in a store; names that start with a dot are never listed.
LEASES: Final = ".leases"
#: A lease that was not renewed for this long is free to take, unless MAMMO_LEASE_S sets another.
TIME_TO_LIVE_S = 60.0
#: How often a waiter says whom it waits for (seconds).
REPORT_S = 30.0
_RENEWALS_IN_A_LIFE = 4
#: Bytes of a lease file: it has up to 1 kB.
_FILE_BYTES: Final = 2**16


@dataclass(frozen=True)
class Owner:
    """What a lease file says.

    Attributes:
        key: What the lease is for.
        host: What process ids are unique in: host name, boot, and namespace of processes.
        pid, started: The process, and when it started (clock ticks since boot).
        token: Differs each time the lease is taken.
        generation: How often the lease has been taken.
        since: When it was taken, by its owner's clock; only for reports.
        lease_s: Unchanged for this long, the lease is free (seconds).
        renewals: How often it was renewed.
        released: Whether the owner has finished.
    """

    key: str
    host: str
    pid: int
    started: str | None
    token: str
    generation: int
    since: str
    lease_s: float
    renewals: int = 0
    released: bool = False

    @classmethod
    def parse(cls, data: bytes) -> "Owner | None":
        """Return what the bytes of a lease file say, or None if they are not one."""
        with suppress(ValueError, TypeError):
            return cls(**parse_json(data, max_bytes=_FILE_BYTES))
        return None

    def to_bytes(self) -> bytes:
        """Return the bytes of the lease file; each renewal has others."""
        return json.dumps(self.__dict__, sort_keys=True).encode()

    @property
    def has_ended(self) -> bool:
        """Whether the process is known to have ended; False for one on another machine."""
        return self.host == _host() and start_time(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.split()[0]}, since {self.since}"


class ObjectLease:
    """Holds `key` by conditional writes and renews it from a thread.

    Args:
        store: The store.
        file: Key of the lease file.
        key: What the lease is for.
    """

    def __init__(self, store: Store, file: str, key: str) -> None:
        self._store = store
        self._file = file
        self._key = key
        self._lease_s = time_to_live()
        self._owner = self._new_owner(0)
        self._etag: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def generation(self) -> int:
        """See Lease.generation."""
        return self._owner.generation

    @property
    def attempt(self) -> str:
        """See Lease.attempt."""
        return f"{self._owner.generation}-{self._owner.token[:8]}"

    def acquire(self, wait_s: float | None, on_wait: Callable[[str], None]) -> None:
        """Take the lease, waiting for its owner as long as that renews it.

        Args:
            wait_s: Longest wait (seconds); None: no limit.
            on_wait: Called every REPORT_S with a text that says who holds the lease.

        Raises:
            LeaseHeldError: It is still held after `wait_s`.
        """
        start = reported = time.monotonic()
        observed, since, pause = "", start, 0.01
        while True:
            state = self._store.state(self._file, _FILE_BYTES)
            owner = None if state is None else Owner.parse(state[0])
            now = time.monotonic()
            if state is None:
                is_free = True
            else:
                if state[1] != observed:
                    observed, since = state[1], now
                lease_s = self._lease_s if owner is None else owner.lease_s
                is_free = now - since > lease_s
                is_free |= owner is not None and (owner.released or owner.has_ended)
            if is_free and self._take(state and state[1], owner):
                return
            if wait_s is not None and now - start > wait_s:
                raise LeaseHeldError(
                    f"Another process has been writing {self._key} for more than {wait_s:g} s",
                    expected="that process to end",
                    received=f"a lease in {self._store.uri} that is held by {owner}",
                    hint="wait for the other run, or stop it",
                )
            if now - reported >= REPORT_S:
                reported = now
                on_wait(f"waiting for {self._key}: {owner}")
            time.sleep(pause)
            pause = min(2 * pause, 1.0, self._lease_s / 4)

    def check(self) -> None:
        """See Lease.check."""
        if self._own_etag() is None:
            raise LeaseLostError(
                f"The lease of {self._key} was lost",
                expected=f"to be its only writer until the end, as its owner {self.generation}",
                received="another owner, or none",
                hint="run the same command again",
            )

    def release(self) -> None:
        """Release the lease; one that was taken over is left as it is."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        # Not deleted: between a look and a deletion another could take it.
        released = replace(self._owner, released=True)
        with suppress(StoreError):
            if self._etag is not None:
                self._store.put_if(self._file, released.to_bytes(), self._etag)

    def _take(self, etag: str | None, before: Owner | None) -> bool:
        self._owner = self._new_owner(1 if before is None else before.generation + 1)
        self._etag = self._store.put_if(self._file, self._owner.to_bytes(), etag)
        if self._etag is None:
            return False
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()
        return True

    def _renew(self) -> None:
        while not self._stop.wait(self._lease_s / _RENEWALS_IN_A_LIFE):
            with suppress(StoreError):
                self._owner = replace(self._owner, renewals=self._owner.renewals + 1)
                body = self._owner.to_bytes()
                renewed = self._store.put_if(self._file, body, self._etag)
                # If the answer was lost, the tag has changed and the lease is still ours. If
                # somebody removed the file, it is ours unless another is faster.
                renewed = renewed or self._own_etag()
                if renewed is None and self._store.state(self._file, _FILE_BYTES) is None:
                    renewed = self._store.put_if(self._file, body, None)
                self._etag = renewed
                if self._etag is None:  # taken over: never written again
                    return

    def _own_etag(self) -> str | None:
        """Return the lease's entity tag if it is ours."""
        state = self._store.state(self._file, _FILE_BYTES)
        owner = None if state is None else Owner.parse(state[0])
        mine = self._owner
        if owner is not None and (owner.token, owner.generation) == (mine.token, mine.generation):
            return None if state is None else state[1]
        return None

    def _new_owner(self, generation: int) -> Owner:
        return Owner(
            key=self._key,
            host=_host(),
            pid=os.getpid(),
            started=start_time(os.getpid()),
            token=uuid4().hex,
            generation=generation,
            since=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            lease_s=self._lease_s,
        )


@contextmanager
def hold(
    store: Store,
    file: str,
    key: str,
    wait_s: float | None,
    on_wait: Callable[[str], None],
) -> Iterator[ObjectLease]:
    """Hold a lease during a block.

    Args:
        store: The store.
        file: Key of the lease file.
        key: What the lease is for.
        wait_s: Longest wait for its owner (seconds); None: no limit.
        on_wait: Called with a text that says who is waited for.

    Raises:
        LeaseHeldError: It is still held after `wait_s`.
    """
    lease = ObjectLease(store, file, key)
    lease.acquire(wait_s, on_wait)
    try:
        yield lease
    finally:
        lease.release()


@dataclass(frozen=True)
class LeaseReport:
    """The leases of a store.

    Attributes:
        live: Keys whose lease a running process holds.
        ended: The files of the other leases: released, or of processes that have ended.
    """

    live: frozenset[str]
    ended: tuple[Entry, ...]


def find_leases(store: Store) -> LeaseReport:
    """Return which leases are held by a running process, and which are not.

    Where it cannot be known whether the process still runs, because it is on another machine, the
    lease is watched until it is renewed or its time has passed.

    Raises:
        StoreError: The store fails.
    """
    live: set[str] = set()
    ended: list[Entry] = []
    watched: dict[str, tuple[Owner, str, float, Entry]] = {}
    for entry in store.lease_files():
        state = store.state(entry.key, _FILE_BYTES)
        owner = None if state is None else Owner.parse(state[0])
        if state is None or owner is None or owner.released or owner.has_ended:
            ended.append(entry)
        elif owner.host == _host():
            live.add(owner.key)
        else:
            watched[entry.key] = (owner, state[1], time.monotonic(), entry)
    while watched:
        for file, (owner, etag, since, entry) in list(watched.items()):
            state = store.state(file, _FILE_BYTES)
            if state is not None and state[1] != etag:
                live.add(owner.key)
                del watched[file]
            elif state is None or time.monotonic() - since > owner.lease_s:
                ended.append(entry)
                del watched[file]
        if watched:
            time.sleep(0.2)
    return LeaseReport(frozenset(live), tuple(sorted(ended, key=lambda entry: entry.key)))


def time_to_live() -> float:
    """Return for how long a lease of this process lives without a renewal (seconds).

    Raises:
        StoreError: MAMMO_LEASE_S is not a time.
    """
    setting = os.environ.get("MAMMO_LEASE_S")
    if not setting:
        return TIME_TO_LIVE_S
    value: Any = None
    with suppress(ValueError):
        value = float(setting)
    if value is None or not 0.5 <= value <= 3600:
        raise StoreError(
            "The time to live of leases cannot be used",
            expected="MAMMO_LEASE_S to be a number of seconds from 0.5 to 3600",
            received=repr(setting),
        )
    return float(value)


def _host() -> str:
    """Return what process ids are unique in: containers may share a host name, but not this."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(Path("/proc/self/ns/pid").readlink().name)
    return " ".join(parts)
