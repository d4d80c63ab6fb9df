"""Checkpoints: all that a training needs to go on as if it had never stopped."""

import json
import tempfile
import time
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.store import Store
from mammo_core.store.base import file_sha256

Arrays = list[npt.NDArray[Any]]

#: Raised by hand when a checkpoint of an earlier version cannot be gone on from.
_FORMAT = 1


@dataclass
class State:
    """Where a training stands.

    Attributes:
        stage: Index of the running stage.
        stage_epoch: Epochs of it that are done.
        batches: Batches of the running epoch that are done.
        seen, loss, right, counts: Sums over those: records, loss, right ones, by class.
        history: Rows of the epochs that are done.
        best: Value of the best epoch, and its validation loss, negated; None before the first.
        best_epoch: Its number, from 1; 0 before the first.
        lowest: Lowest validation loss of the stage; None before its first epoch.
        waited: Epochs of the stage since then.
        still: Epochs since then or since the last drop of the learning rate.
        drops: How often the learning rate was dropped in the stage.
    """

    stage: int = 0
    stage_epoch: int = 0
    batches: int = 0
    seen: int = 0
    loss: float = 0.0
    right: float = 0.0
    counts: list[int] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    lowest: float | None = None
    waited: int = 0
    still: int = 0
    drops: int = 0


@dataclass(frozen=True)
class Saved:
    """A checkpoint as it was read.

    Attributes:
        state: Where the training stood.
        model: Every variable of the model, the states of its random generators among them.
        optimizer: Every variable of the optimizer; empty at the start of a stage.
        best: The weights of the best epoch; empty before the first.
    """

    state: State
    model: Arrays
    optimizer: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one training in a store; only the last one is kept.

    `latest.json` names the files of the checkpoint with their digests and is written last,
    so a process that is killed while writing leaves the checkpoint before.

    Args:
        store: Where they are.
        folder: Of this training; its name stands for everything that decides its result.
        minutes: A checkpoint is due so long after the last one.
    """

    def __init__(self, store: Store, folder: str, minutes: float = 10.0) -> None:
        self._store, self._folder = store, folder
        self._seconds = minutes * 60
        self._last = time.monotonic()
        self._best: dict[str, Any] | None = None
        self.fault = ""

    @property
    def due(self) -> bool:
        """Whether so much time has passed that the next one should be written."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: State, model: Arrays, optimizer: Arrays, best: Arrays) -> None:
        """Write a checkpoint and remove the one before.

        Raises:
            StoreError: The store fails.
        """
        before = set(self._store.list(f"{self._folder}/"))
        if state.best_epoch and (self._best or {}).get("epoch") != state.best_epoch:
            named = {f"best-{at}": value for at, value in enumerate(best)}
            self._best = {"epoch": state.best_epoch, **self._put("best", named)}
        arrays = {f"model-{at}": value for at, value in enumerate(model)}
        arrays |= {f"optimizer-{at}": value for at, value in enumerate(optimizer)}
        stored = self._put("state", arrays)
        latest = {
            "format": _FORMAT,
            "state": asdict(state),
            "arrays": stored,
            "best": self._best,
        }
        self._store.write(f"{self._folder}/latest.json", json.dumps(latest).encode())
        kept = {f"{self._folder}/latest.json", stored["key"]}
        kept |= {self._best["key"]} if self._best else set()
        for key in before - kept:
            self._store.delete(key)
        self._last = time.monotonic()

    def load(self) -> Saved | None:
        """Read the last checkpoint; None when there is none, or none that is whole.

        `fault` then says why. Raises StoreError when the store fails.
        """
        key = f"{self._folder}/latest.json"
        if not self._store.exists(key):
            return None
        try:
            latest = json.loads(self._store.read(key))
            if latest["format"] != _FORMAT:
                self.fault = f"it is of format {latest['format']}, not {_FORMAT}"
                return None
            told = latest["state"]
            best = told.pop("best")
            state = State(**told, best=tuple(best) if best is not None else None)
            arrays = self._get(latest["arrays"])
            self._best = latest["best"]
            stored_best = self._get(self._best) if self._best else {}
        except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
            self._best = None
            self.fault = f"{type(error).__name__}: {error}"
            return None
        return Saved(
            state,
            _listed(arrays, "model"),
            _listed(arrays, "optimizer"),
            _listed(stored_best, "best"),
        )

    def clear(self) -> None:
        """Remove every checkpoint: the training is done."""
        for key in list(self._store.list(f"{self._folder}/")):
            self._store.delete(key)

    def _put(self, name: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="mammo-checkpoint-") as aside:
            path = Path(aside) / "arrays.npz"
            np.savez(path, **arrays)  # type: ignore[arg-type]
            digest = file_sha256(path)
            key = f"{self._folder}/{name}-{digest[:16]}.npz"
            self._store.put_file(key, path)
        return {"key": key, "sha256": digest}

    def _get(self, told: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        if not self._store.exists(told["key"]):
            raise ValueError(f"{told['key']} is missing")
        data = self._store.fetch(told["key"])
        digest = file_sha256(data)
        if digest != told["sha256"]:
            raise ValueError(f"{told['key']} has SHA-256 {digest}, not {told['sha256']}")
        with np.load(data, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}


def _listed(arrays: dict[str, npt.NDArray[Any]], kind: str) -> Arrays:
    found = {name: value for name, value in arrays.items() if name.rpartition("-")[0] == kind}
    return [found[f"{kind}-{at}"] for at in range(len(found))]
