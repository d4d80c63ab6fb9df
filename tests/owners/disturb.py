"""Disturb two runs of the same recipe on one store, and look what they leave.

The two processes are stopped beyond their leases and continued, killed and started again, their
clocks jump, and the server restarts, all at random moments.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from mammo_core.datasets import parse
from mammo_core.datasets.manifests import verify_file
from mammo_core.processes import child_environment
from mammo_core.registry.references import referred_ids
from mammo_core.runs.garbage import find_garbage
from mammo_core.runs.removal import remove_garbage
from mammo_core.store import Store, store_time
from mammo_core.training.kinds import CHECKPOINTS
from tests.support.ingest import without_attempt
from tests.support.s3 import S3Server

REPOSITORY = Path(__file__).parents[2]
#: Compiles the library that moves the wall clock of a process; without it, clocks do not jump.
COMPILER = shutil.which("cc")
#: Keys of the files of outputs. Others are replaced on purpose: pointers, caches, statuses.
#: Ids of the runs: as long as each other, since manifests hold the sizes of files.
RUN_IDS = ("disturbed-1", "disturbed-2")
_RUN = re.compile(rb"disturbed-[12]|undisturbed")
_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")
_OUTPUT = re.compile(r"(?!features/|runs/|models/)[a-z/-]+/[0-9a-f]{32}/(?P<notes>notes/)?.+")


@dataclass
class Events:
    """What is done to the runs: how often, and how often it was done.

    Attributes:
        stops, kills, jumps, restarts: How often each is still to be done.
        done: How often each was done.
    """

    stops: int
    kills: int
    jumps: int = 0
    restarts: int = 0
    done: Counter[str] = field(default_factory=Counter)

    @property
    def is_left(self) -> bool:
        """Whether an event is still to be done."""
        return self.stops + self.kills + self.jumps + self.restarts > 0

    def draw(self, rng: random.Random) -> str:
        """Return one of the events that are left, or an empty text."""
        names = ("stops", "kills", "jumps", "restarts")
        left = [name for name in names for _ in range(getattr(self, name))]
        if not left:
            return ""
        name = rng.choice(left)
        setattr(self, name, getattr(self, name) - 1)
        self.done[name] += 1
        return name


class Worker:
    """A process that does the run, started again when it was killed or has failed.

    Args:
        command: Its command line.
        environment: Its variables.
        log: File for its output.
    """

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self.starts = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        self._log.touch()
        self._size = self._log.stat().st_size
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=REPOSITORY
            )

    @property
    def is_working(self) -> bool:
        """Whether the process runs and has imported what it needs."""
        return self.process.poll() is None and self._log.stat().st_size > self._size

    @property
    def result(self) -> str:
        """The last line of a process that has finished; empty before."""
        code = self.process.poll()
        if code is None:
            return ""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("done ")]
        if code == 0:
            return lines[-1]
        if self.starts > 60:
            raise AssertionError(f"it fails again and again: {self._log.read_text()[-3000:]}")
        self.process = self._start()
        return ""

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)


class Disturbance:
    """Two runs on one store, and what is done to them.

    Args:
        work: Folder for logs.
        source: Folder of the images.
        extent: `whole`, `data` or `records`: see `worker.py`.
        lease_s: Time to live of leases (seconds).
        seed: The moments and the choices depend on it.
        restart_server: Restarts the server of the store.
    """

    def __init__(
        self,
        work: Path,
        source: Path,
        *,
        extent: str,
        lease_s: float,
        seed: int,
        restart_server: Callable[[], None] | None = None,
    ) -> None:
        self.work, self.source, self.extent, self.lease_s = work, source, extent, lease_s
        self.rng = random.Random(seed)
        self.restart_server = restart_server
        self.clock = work / "clock"
        self.clock.write_text("0\n")
        self._identities: dict[str, tuple[int, ...]] = {}

    def run(
        self, store: Store, names: tuple[str, ...], events: Events, pause_s: float
    ) -> list[dict[str, str]]:
        """Let runs finish while they are disturbed; returns the ids that each printed.

        Args:
            store: The store of all of them.
            names: The ids of the runs, one process each; a name may be there twice.
            events: What may be done; what is left is for the next call.
            pause_s: Mean time between two events (seconds).
        """
        workers = [self._worker(store, name, number) for number, name in enumerate(names)]
        stopped: list[tuple[float, Worker]] = []
        due = time.monotonic() + self.rng.uniform(0, 2 * pause_s)
        try:
            while sum(bool(worker.result) for worker in workers) < len(workers):
                now = time.monotonic()
                for item in [item for item in stopped if item[0] <= now]:
                    stopped.remove(item)
                    item[1].signal(signal.SIGCONT)
                if now >= due:
                    due = now + self.rng.uniform(0, 2 * pause_s)
                    self._look(store)
                    self._disturb(events, workers, stopped)
                time.sleep(0.05)
        finally:
            for worker in workers:
                worker.signal(signal.SIGKILL)
                worker.process.wait()
        self._look(store)
        return [json.loads(worker.result.split(" ", 1)[1].rsplit(" ", 1)[0]) for worker in workers]

    def _worker(self, store: Store, name: str, number: int) -> Worker:
        environment = {**os.environ, **child_environment()}
        environment |= {"MAMMO_LEASE_S": str(self.lease_s), "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["PYTHONPATH"] = str(REPOSITORY)
        if COMPILER:
            library = str(wall_clock_library(self.work))
            environment |= {"LD_PRELOAD": library, "WALL_CLOCK": str(self.clock)}
        script = str(Path(__file__).parent / "worker.py")
        command = [sys.executable, script, store.uri, str(self.source), name, self.extent]
        return Worker(command, environment, self.work / f"{name}-{number}.log")

    def _disturb(
        self, events: Events, workers: list[Worker], stopped: list[tuple[float, Worker]]
    ) -> None:
        paused = [worker for _, worker in stopped]
        running = [w for w in workers if w.is_working and w not in paused]
        if not running:
            return
        worker = self.rng.choice(running)
        event = events.draw(self.rng)
        if event == "stops":
            worker.signal(signal.SIGSTOP)
            long = self.rng.uniform(1.3, 3) * self.lease_s
            stopped.append((time.monotonic() + long, worker))
        elif event == "kills":
            worker.signal(signal.SIGKILL)
        elif event == "jumps":
            self.clock.write_text(self.rng.choice(["3600\n", "-3600\n", "0\n"]))
        elif event == "restarts" and self.restart_server is not None:
            self.restart_server()

    def _look(self, store: Store) -> None:
        """Check that no file of an output was replaced since it was seen first (in a folder)."""
        root = getattr(store, "root", None)
        if root is None:
            return
        for key in store.list(""):
            match = _OUTPUT.fullmatch(key)
            if match and not match["notes"] and not key.startswith(CHECKPOINTS):
                try:
                    facts = (root / key).stat()
                except FileNotFoundError:
                    continue
                identity = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                if self._identities.setdefault(key, identity) != identity:
                    raise AssertionError(f"{key} was replaced")


def wall_clock_library(folder: Path) -> Path:
    """Compile the library that moves the wall clock of a process into a folder."""
    library = folder / "wall_clock.so"
    if not library.exists():
        code = Path(__file__).parent / "wall_clock.c"
        command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library), str(code), "-ldl"]
        subprocess.run(command, check=True)
    return library


def _contents(store: Store) -> dict[str, str]:
    """Return the digests of what was published, whichever of the runs published it.

    Reports and cards name the runs that made what they are about.
    """
    digests = {}
    for key in store.list(""):
        if key.endswith("/manifest.json"):
            data = store.read(key)
            manifest = parse(data, key)
            for file in manifest.files:
                named = _RUN.sub(b"a run", store.read(file.key))
                # A chain names manifests by their digests, and these the attempts.
                if file.key.endswith(("/SHA256SUMS", "/chain.json")):
                    named = _DIGEST.sub(b"a digest", named)
                digests[without_attempt(file.key)] = hashlib.sha256(named).hexdigest()
            # What it says of the bytes of its files is compared by the files themselves.
            said = _DIGEST.sub(b"a digest", _RUN.sub(b"a run", data))
            digests[without_attempt(key)] = without_attempt(said.decode())
    return digests


def require_as_undisturbed(store: Store, plain: Store) -> None:
    """Check that a store has what an undisturbed one has, and after gc nothing else."""
    expected, stored = _contents(plain), _contents(store)
    outputs = {name for name in expected if not name.startswith(("gates/", "pushes/"))}
    different = {name for name in outputs if stored.get(name) != expected[name]}
    assert not different, f"other bytes than undisturbed: {sorted(different)}"
    ids = set(referred_ids(store))
    named = set()
    for key in store.list(""):
        if key.endswith("/manifest.json") and not key.startswith("models/"):
            manifest = parse(store.read(key), key)
            ids.add(manifest.id)
            named |= {key, *(file.key for file in manifest.files)}
            for file in manifest.files:
                verify_file(store, file)
    for _ in range(2):  # the first leaves the leases that it has taken itself
        report = find_garbage(store, ids, grace_s=0, now=store_time(store) + 3600)
        remove_garbage(store, report)
    kept = set(store.list(""))
    left = {key for key in kept if _OUTPUT.fullmatch(key)}
    assert left - named == set(), f"left behind: {sorted(left - named)}"
    assert named - kept == set(), f"removed: {sorted(named - kept)}"
    assert not list(store.lease_files()) and not list(store.unfinished_writes())


def require_single_versions(server: S3Server, bucket: str) -> None:
    """Check that no object of an output or a model was written twice, in a versioned bucket."""
    client = Minio(
        server.endpoint.removeprefix("http://"), server.access_key, server.secret_key, secure=False
    )
    written = Counter(
        item.object_name
        for item in client.list_objects(bucket, recursive=True, include_version=True)
        if not item.is_delete_marker
    )
    assert written, "nothing is versioned"
    twice = {
        name
        for name, count in written.items()
        if count > 1 and (match := _OUTPUT.fullmatch(name.partition("/")[2])) and not match["notes"]
    }
    assert not twice, f"written twice: {sorted(twice)}"


def make_versioned_bucket(server: S3Server, bucket: str) -> None:
    """Make a bucket that keeps every version of its objects."""
    client = Minio(
        server.endpoint.removeprefix("http://"), server.access_key, server.secret_key, secure=False
    )
    client.make_bucket(bucket)
    client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
