"""Checkpoints: everything needed to resume a training as if it had never stopped."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from mammo_core.documents import parse_json, parse_npz
from mammo_core.store import Store
from mammo_core.store.base import file_sha256

Arrays = list[npt.NDArray[Any]]

#: Raised by hand when training cannot resume from a checkpoint of an earlier version.
_FORMAT = 2
_MAXIMUM_BYTES = 2**34


@dataclass
class TrainingState:
    """The progress of a training.

    Attributes:
        stage: Index of the current stage.
        stage_epoch: Completed epochs of it.
        batches: Completed batches of the current epoch.
        records, loss, correct, counts: Sums over those: records, loss, correct records, and
            records by class.
        history: Rows of the completed epochs.
        best: Value of the best epoch, and its negated validation loss; None before the first.
        best_epoch: Its number, from 1; 0 before the first.
        lowest_loss: Lowest validation loss of the stage; None before its first epoch.
        since_lowest: Epochs of the stage since then.
        since_drop: Epochs since then or since the last drop of the learning rate.
        drops: Number of drops of the learning rate in the stage.
    """

    stage: int = 0
    stage_epoch: int = 0
    batches: int = 0
    records: int = 0
    loss: float = 0.0
    correct: float = 0.0
    counts: list[int] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    lowest_loss: float | None = None
    since_lowest: int = 0
    since_drop: int = 0
    drops: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint.

    Attributes:
        state: Progress of the training.
        model: Every variable of the model, including the states of its random generators.
        optimizer: Every variable of the optimizer; empty at the start of a stage.
        best: The weights of the best epoch; empty before the first.
    """

    state: TrainingState
    model: Arrays
    optimizer: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one training in a store; only the latest is kept.

    `latest.json` names the files of the checkpoint with their digests and is swapped last
    (If-Match), so a process that is killed while writing leaves the previous checkpoint, and one
    that was paused and has lost its lease replaces no checkpoint of its successor.

    Args:
        store: The store.
        folder: Folder of this training; its name identifies everything that determines the result.
        minutes: Time from one checkpoint until the next is due.
        check_lease: Raises LeaseLostError if this process no longer makes the training.

    Attributes:
        fault: Why `load` could not use the checkpoint; empty if there was no fault.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        minutes: float = 10.0,
        check_lease: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._folder = store, folder
        self._check_lease = check_lease
        self._latest, self._etag = f"{folder}/latest.json", ""
        self._seconds = minutes * 60
        self._last = time.monotonic()
        self._best: dict[str, Any] | None = None
        self.fault = ""

    @property
    def due(self) -> bool:
        """Whether the next checkpoint should be written."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: TrainingState, model: Arrays, optimizer: Arrays, best: Arrays) -> None:
        """Write a checkpoint and remove the previous one.

        Raises:
            LeaseLostError: Another process has taken over the training.
            StoreError: The store fails.
        """
        self._check_lease()
        before = set(self._store.list(f"{self._folder}/"))
        if state.best_epoch and (self._best or {}).get("epoch") != state.best_epoch:
            named = {f"best-{at}": value for at, value in enumerate(best)}
            self._best = {"epoch": state.best_epoch, **self._write_arrays("best", named)}
        arrays = {f"model-{at}": value for at, value in enumerate(model)}
        arrays |= {f"optimizer-{at}": value for at, value in enumerate(optimizer)}
        stored = self._write_arrays("state", arrays)
        latest = {
            "format": _FORMAT,
            "state": asdict(state),
            "arrays": stored,
            "best": self._best,
        }
        self._swap(json.dumps(latest).encode())
        kept = {self._latest, stored["key"]}
        kept |= {self._best["key"]} if self._best else set()
        for key in before - kept:
            self._store.delete(key)
        self._last = time.monotonic()

    def load(self) -> Checkpoint | None:
        """Read the latest checkpoint; None if there is none or it cannot be used (`fault`).

        Raises:
            StoreError: The store fails.
        """
        stored = self._store.state(self._latest)
        if stored is None:
            return None
        self._etag = stored[1]
        try:
            latest = parse_json(stored[0])
            if latest["format"] != _FORMAT:
                self.fault = f"it has format {latest['format']}, not {_FORMAT}"
                return None
            fields = latest["state"]
            best = fields.pop("best")
            state = TrainingState(**fields, best=tuple(best) if best is not None else None)
            arrays = self._read_arrays(latest["arrays"])
            self._best = latest["best"]
            stored_best = self._read_arrays(self._best) if self._best else {}
        except (ValueError, KeyError, TypeError, OSError) as error:
            self._best = None
            self.fault = f"{type(error).__name__}: {error}"
            return None
        return Checkpoint(
            state,
            _arrays_of(arrays, "model"),
            _arrays_of(arrays, "optimizer"),
            _arrays_of(stored_best, "best"),
        )

    def clear(self) -> None:
        """Remove every checkpoint, after the training is published."""
        for key in list(self._store.list(f"{self._folder}/")):
            self._store.delete(key)

    def _swap(self, latest: bytes) -> None:
        """Replace `latest.json` if it is the one that this process knows, or if it is the owner."""
        written = self._store.put_if(self._latest, latest, self._etag or None)
        while written is None:
            self._check_lease()  # else a former owner wrote between its last check and now
            stored = self._store.state(self._latest)
            written = self._store.put_if(
                self._latest, latest, None if stored is None else stored[1]
            )
        self._etag = written

    def _write_arrays(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="mammo-checkpoint-") as temporary:
            path = Path(temporary) / "arrays.npz"
            np.savez(path, **arrays)  # type: ignore[arg-type]
            digest = file_sha256(path)
            # Equal arrays of another owner have another key, which it alone removes.
            key = f"{self._folder}/{name}-{digest[:16]}-{uuid4().hex[:8]}.npz"
            self._store.put_file(key, path)
        return {"key": key, "sha256": digest}

    def _read_arrays(self, entry: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        if not self._store.exists(entry["key"]):
            raise ValueError(f"{entry['key']} is missing")
        data = self._store.fetch(entry["key"])
        digest = file_sha256(data)
        if digest != entry["sha256"]:
            raise ValueError(f"{entry['key']} has SHA-256 {digest}, not {entry['sha256']}")
        return parse_npz(data, max_bytes=_MAXIMUM_BYTES)


def _arrays_of(arrays: dict[str, npt.NDArray[Any]], kind: str) -> Arrays:
    named = {name: value for name, value in arrays.items() if name.rpartition("-")[0] == kind}
    return [named[f"{kind}-{at}"] for at in range(len(named))]
