"""`mammo store gc`: what nothing refers to any more, and what killed runs left.

An output is referred to by what starts the search (registered models, frames, runs that go on)
and by the lineage of what is referred to. A file is kept as long as any kept manifest lists it:
datasets share shards.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo_core.datasets.manifests import Manifest, parse
from mammo_core.datasets.shards import BASE_NOTE, REPLACED_NOTE
from mammo_core.errors import RecordError, StoreError
from mammo_core.store import Store
from mammo_core.store.base import Entry

#: What is not published is left alone for so long (seconds).
GRACE_S = 24 * 3600.0
#: Kinds of outputs on the way to a model: they go when nothing refers to them. What people
#: asked for (frames, scores, experiments, whatever else there will be) stays, with its lineage.
_ON_THE_WAY = frozenset(
    {
        "tables",
        "datasets/images",
        "datasets/patches",
        "trainings/patch",
        "trainings/image",
        "evaluations",
        "regions",
        "gates",
        "validations",
    }
)
_KINDS = _ON_THE_WAY | {"frames", "scores"}
#: Outputs that say why another one was let through, and where their lineage names it.
_JUDGEMENTS = {"gates": "evaluation", "validations": "frame"}
_PLACE = re.compile(r"([a-z][a-z_-]*(?:/[a-z][a-z_-]*)?)/([0-9a-f]{32})/(.+)")
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_MEMO = re.compile(r"([a-z]+)/memos/[0-9a-f]+\.json")
_STATUS = re.compile(r"runs/([^/]+)/steps/[^/]+\.json")
#: Folders whose contents are not outputs.
_OTHERS = ("models", "runs", "features")


@dataclass(frozen=True)
class Garbage:
    """Something that can be removed.

    Attributes:
        name: The folder, or the file.
        reason: Why.
        keys: What is removed, in this order.
        bytes: How much that is.
        lease: Who removes it must hold this.
        output: Id of the published output that it is; empty for anything else.
    """

    name: str
    reason: str
    keys: tuple[str, ...]
    bytes: int
    lease: str
    output: str = ""


@dataclass
class Findings:
    """What a search found.

    Attributes:
        garbage: What can be removed, by name.
        kept: The published outputs that are referred to.
        seen: Every key there was.
    """

    garbage: list[Garbage] = field(default_factory=list)
    kept: list[Manifest] = field(default_factory=list)
    seen: frozenset[str] = frozenset()


def find_garbage(
    store: Store, referred: Iterable[str], *, grace_s: float = GRACE_S, now: float | None = None
) -> Findings:
    """Search a store for what can be removed; nothing is changed.

    Args:
        store: The store.
        referred: Ids that registered models name; other texts among them do no harm.
        grace_s: How long unpublished data is left alone.
        now: The time (seconds since 1970); default now.

    Raises:
        RecordError: A manifest cannot be read: what it refers to is not known, so that nothing
            may be removed.
        StoreError: The store fails.
    """
    return _Search(store, grace_s, time.time() if now is None else now).run(referred)


class _Search:
    def __init__(self, store: Store, grace_s: float, now: float) -> None:
        self.store = store
        self.entries = {entry.key: entry for entry in store.entries("")}
        self.before = now - grace_s
        self.outputs: dict[str, Manifest] = {}
        self.folders: dict[str, list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            place = _PLACE.fullmatch(key)
            if place is None or place[1].split("/")[0] in _OTHERS:
                continue
            self.folders[f"{place[1]}/{place[2]}"].append(entry)
            if place[3] == "manifest.json":
                self._read(key, place[1])
        kinds = _KINDS | {manifest.kind for manifest in self.outputs.values()}
        # Only where outputs are known to lie: users keep files of their own beside.
        self.folders = {
            folder: own
            for folder, own in self.folders.items()
            if folder.rpartition("/")[0] in kinds
        }

    def _read(self, key: str, kind: str) -> None:
        try:
            manifest = parse(self.store.read(key), key)
        except RecordError:
            if kind in _KINDS:
                raise
            return
        if manifest.key == key:
            self.outputs[manifest.id] = manifest

    def run(self, referred: Iterable[str]) -> Findings:
        found = Findings(seen=frozenset(self.entries))
        kept = self._reached({*referred, *self._starts()})
        live = {file.key for id in kept for file in self.outputs[id].files}
        live |= set(self._replaced())
        for folder, own in sorted(self.folders.items()):
            id = folder.rpartition("/")[2]
            free = [entry for entry in own if entry.key not in live]
            if id in self.outputs and id not in kept:
                if not self.store.is_leased(folder):
                    found.garbage.append(_garbage(folder, "nothing refers to it", free, id))
            elif id in kept:
                manifest = self.outputs[id].key
                self._add(found, folder, "left over", [e for e in free if e.key != manifest])
            elif not self._young(own):
                self._add(found, folder, "never published", free)
        found.garbage += [*self._memos(kept), *self._versions(), *self._leftovers()]
        found.kept = [self.outputs[id] for id in sorted(kept)]
        return found

    def _add(self, found: Findings, folder: str, reason: str, free: list[Entry]) -> None:
        old = [entry for entry in free if entry.modified < self.before]
        if old and not self.store.is_leased(folder):
            found.garbage.append(_garbage(folder, reason, old))

    def _young(self, entries: Iterable[Entry]) -> bool:
        return max(entry.modified for entry in entries) >= self.before

    def _starts(self) -> Iterator[str]:
        """Ids that no model names and that are kept: results, and what is being used."""
        yield from (id for id, one in self.outputs.items() if one.kind not in _ON_THE_WAY)
        runs: dict[str, list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            if _STATUS.fullmatch(key):
                runs[key.split("/")[1]].append(entry)
        for run, statuses in runs.items():
            if f"runs/{run}/summary.json" not in self.entries and self._young(statuses):
                yield from (_output(self.store, entry.key) for entry in statuses)
        for folder, own in self.folders.items():
            going_on = self._young(own) or self.store.is_leased(folder)
            note = f"{folder}/{BASE_NOTE}"
            if note in self.entries and folder.rpartition("/")[2] not in self.outputs and going_on:
                yield str(_json(self.store, note).get("base", ""))

    def _reached(self, starts: set[str]) -> set[str]:
        reached: set[str] = set()
        waiting = [id for id in _ids(starts) if id in self.outputs]
        while waiting:
            id = waiting.pop()
            if id not in reached:
                reached.add(id)
                named = _ids(self.outputs[id].lineage.values())
                waiting += [other for other in named if other in self.outputs]
        # Why a kept model was let through belongs to it.
        for id, manifest in self.outputs.items():
            judged = _JUDGEMENTS.get(manifest.kind)
            if judged is not None and manifest.lineage.get(judged) in reached:
                reached.add(id)
        return reached

    def _replaced(self) -> Iterator[str]:
        """Files that a compaction replaced a short while ago: somebody may still read them."""
        for key, entry in self.entries.items():
            if key.endswith(f"/{REPLACED_NOTE}") and entry.modified >= self.before:
                yield from _json(self.store, key).get("keys", [])

    def _memos(self, kept: set[str]) -> Iterator[Garbage]:
        for key, entry in self.entries.items():
            if _MEMO.fullmatch(key) and entry.modified < self.before:
                named = {value for value in _json(self.store, key).values() if value}
                if not named & kept:
                    yield _garbage(key, "remembers what is not there", [entry])

    def _versions(self) -> Iterator[Garbage]:
        """Files of model versions that were never published."""
        found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            parts = key.split("/")
            if parts[0] == "models" and len(parts) > 3 and parts[2].isdecimal():
                found[parts[1], parts[2]].append(entry)
        for (name, version), own in sorted(found.items()):
            published = f"models/{name}/published/{version}.json" in self.entries
            lease = f"models/{name}"
            if not published and not self._young(own) and not self.store.is_leased(lease):
                yield _garbage(f"{lease}/{version}", "never published", own, lease=lease)

    def _leftovers(self) -> Iterator[Garbage]:
        for entry in self.store.unfinished_writes():
            if entry.modified < self.before:
                yield _garbage(entry.key, "half written", [entry])


def _garbage(
    name: str, reason: str, entries: list[Entry], output: str = "", lease: str = ""
) -> Garbage:
    # The manifest goes first: half an output is never visible.
    ordered = sorted(
        entries, key=lambda entry: (not entry.key.endswith("/manifest.json"), entry.key)
    )
    return Garbage(
        name=name,
        reason=reason,
        keys=tuple(entry.key for entry in ordered),
        bytes=sum(entry.size for entry in ordered),
        lease=lease or name,
        output=output,
    )


def _json(store: Store, key: str) -> Mapping[str, Any]:
    try:
        found = json.loads(store.read(key))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ids(texts: Iterable[str]) -> set[str]:
    """The ids in texts: some hold several."""
    return {id for text in texts for id in _ID.findall(text)}


def _output(store: Store, key: str) -> str:
    """Id of the output that a step's status names."""
    parts = str(_json(store, key).get("output", "")).split("/")
    return parts[-2] if len(parts) > 1 else ""


def remove_garbage(
    store: Store, findings: Findings, told: Callable[[Garbage, str], None] | None = None
) -> list[Garbage]:
    """Remove what was found, unless it has come into use since.

    Args:
        store: The store.
        findings: What `find_garbage` found.
        told: Called with each item and why it was left, or an empty text.

    Returns:
        What was removed.

    Raises:
        StoreError: The store fails.
    """
    removed = []
    for item in findings.garbage:
        obstacle = _remove(store, item, findings.seen)
        if not obstacle:
            removed.append(item)
        if told is not None:
            told(item, obstacle)
    return removed


def _remove(store: Store, item: Garbage, seen: frozenset[str]) -> str:
    if store.is_leased(item.lease):
        return "somebody has begun to write it"
    with store.lease(item.lease, wait_s=90.0):
        if item.output and _taken(store, item, seen):
            return "somebody has begun to use it"
        for key in item.keys:
            store.delete(key)
    return ""


def _taken(store: Store, item: Garbage, seen: frozenset[str]) -> bool:
    """Whether something that was written since the search refers to an output."""
    for key in store.list(""):
        if key in seen:
            continue
        if key.endswith(f"/{BASE_NOTE}") and _json(store, key).get("base") == item.output:
            return True
        if _STATUS.fullmatch(key) and _output(store, key) == item.output:
            return True
        if key.endswith("/manifest.json"):
            try:
                manifest = parse(store.read(key), key)
            except (RecordError, StoreError):
                return True
            files = {file.key for file in manifest.files}
            if item.output in _ids(manifest.lineage.values()) or not files.isdisjoint(item.keys):
                return True
    return False
