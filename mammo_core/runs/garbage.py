"""`mammo store gc`: find outputs that nothing refers to, and what killed runs left.

An output is in use if a registered model, a frame or another result, or a run in progress refers
to it, directly or through the lineage of an output in use. A file is kept as long as the manifest
of any output in use lists it: datasets share shards.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo_core import documents
from mammo_core.datasets.manifests import Manifest, read_manifest
from mammo_core.datasets.shards import BASE_NOTE, is_replaced_note
from mammo_core.errors import RecordError
from mammo_core.registry.keys import marker_key, model_folder, version_folder, version_of_key
from mammo_core.runs.kinds import KINDS
from mammo_core.runs.run import run_of_status, run_of_summary
from mammo_core.store import Store, find_leases, store_time
from mammo_core.store.base import Entry
from mammo_core.training.kinds import CHECKPOINTS

#: How long unpublished data is kept (seconds).
GRACE_S = 24 * 3600.0
_OUTPUT_KEY = re.compile(r"([a-z][a-z_-]*(?:/[a-z][a-z_-]*)?)/([0-9a-f]{32})/(.+)")
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_MEMO = re.compile(r"([a-z]+)/memos/[0-9a-f]+\.json")
_CHECKPOINT_KEY = re.compile(rf"{CHECKPOINTS}/(.+/[0-9a-f]{{32}})/.+")
#: Folders that contain no outputs.
_OTHER_FOLDERS = ("models", "runs", "features")


@dataclass(frozen=True)
class Garbage:
    """Something that can be removed.

    Attributes:
        name: The folder, or the file.
        reason: Why it can be removed.
        keys: The keys to delete, in this order.
        bytes: Their total size.
        lease: The lease that is held while they are deleted; empty for the files of leases, each of
            which is deleted under its own.
        output: Id of the published output; empty for anything else.
    """

    name: str
    reason: str
    keys: tuple[str, ...]
    bytes: int
    lease: str
    output: str = ""


@dataclass
class GarbageReport:
    """The result of a search for garbage.

    Attributes:
        garbage: What can be removed, by name.
        kept: The published outputs in use.
        keys: Every key that was in the store.
    """

    garbage: list[Garbage] = field(default_factory=list)
    kept: list[Manifest] = field(default_factory=list)
    keys: frozenset[str] = frozenset()


def find_garbage(
    store: Store, referred: Iterable[str], *, grace_s: float = GRACE_S, now: float | None = None
) -> GarbageReport:
    """Search a store for what can be removed; nothing is changed.

    Args:
        store: The store.
        referred: Ids that registered models name; other texts among them do no harm.
        grace_s: How long unpublished data is kept.
        now: The time (seconds since 1970); default the store's.

    Raises:
        RecordError: A manifest cannot be read, so what it refers to is unknown and nothing may
            be removed.
        StoreError: The store fails.
    """
    return _Search(store, grace_s, store_time(store) if now is None else now).run(referred)


class _Search:
    def __init__(self, store: Store, grace_s: float, now: float) -> None:
        self.store = store
        # Before the files are listed: what is written meanwhile is then known to be.
        self.leases = find_leases(store)
        self.entries = {entry.key: entry for entry in store.entries("")}
        self.oldest_kept = now - grace_s
        self.outputs: dict[str, Manifest] = {}
        folders: dict[str, list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            match = _OUTPUT_KEY.fullmatch(key)
            if match is None or match[1].split("/")[0] in _OTHER_FOLDERS:
                continue
            folders[f"{match[1]}/{match[2]}"].append(entry)
            if match[3] == "manifest.json":
                self._read(key, match[1])
        # Users may keep files in other folders of the store.
        kinds = {*KINDS, *(manifest.kind for manifest in self.outputs.values())}
        self.folders = {
            folder: entries
            for folder, entries in folders.items()
            if folder.rpartition("/")[0] in kinds
        }

    def _read(self, key: str, kind: str) -> None:
        try:
            manifest = read_manifest(self.store, key)
        except RecordError:
            if kind in KINDS:
                raise
            return
        if manifest.key == key:
            self.outputs[manifest.id] = manifest

    def run(self, referred: Iterable[str]) -> GarbageReport:
        report = GarbageReport(keys=frozenset(self.entries))
        kept = self._in_use({*referred, *self._roots()})
        live_keys = {file.key for id in kept for file in self.outputs[id].files}
        live_keys |= set(self._replaced())
        for folder, entries in sorted(self.folders.items()):
            id = folder.rpartition("/")[2]
            free = [entry for entry in entries if entry.key not in live_keys]
            if id in self.outputs and id not in kept:
                if not self._is_leased(folder):
                    report.garbage.append(_garbage(folder, "nothing refers to it", free, id))
            elif id in kept:
                manifest = self.outputs[id].key
                self._add(report, folder, "left over", [e for e in free if e.key != manifest])
            elif not self._is_recent(entries):
                self._add(report, folder, "never published", free)
        report.garbage += [
            *self._memos(kept),
            *self._checkpoints(),
            *self._unpublished_versions(),
            *self._part_files(),
            *self._ended_leases(),
        ]
        report.kept = [self.outputs[id] for id in sorted(kept)]
        return report

    def _add(self, report: GarbageReport, folder: str, reason: str, free: list[Entry]) -> None:
        old = [entry for entry in free if entry.modified < self.oldest_kept]
        if old and not self._is_leased(folder):
            report.garbage.append(_garbage(folder, reason, old))

    def _is_leased(self, folder: str) -> bool:
        """Whether a process writes an output, a partition of it, or perhaps this one of its kind.

        A step whose output's id is not known before the work holds a lease named after its inputs.
        """
        kind = folder.rpartition("/")[0]
        for key in self.leases.live:
            if key == folder or key.startswith(f"{folder}/"):
                return True
            name = key.removeprefix(f"{kind}/").partition("/")[0]
            if key.startswith(f"{kind}/") and not _ID.fullmatch(name):
                return True
        return False

    def _is_recent(self, entries: Iterable[Entry]) -> bool:
        return max(entry.modified for entry in entries) >= self.oldest_kept

    def _roots(self) -> Iterator[str]:
        """Yield the ids that are in use although no model names them."""
        for id, manifest in self.outputs.items():
            kind = KINDS.get(manifest.kind)
            if kind is None or not kind.intermediate:  # a result
                yield id
        statuses: dict[str, list[Entry]] = defaultdict(list)
        finished = set()
        for key, entry in self.entries.items():
            if run := run_of_status(key):
                statuses[run].append(entry)
            elif run := run_of_summary(key):
                finished.add(run)
        for run, entries in statuses.items():
            if run not in finished and self._is_recent(entries):
                yield from (output_of_status(self.store, entry.key) for entry in entries)
        for folder, entries in self.folders.items():
            is_active = self._is_recent(entries) or self._is_leased(folder)
            note = f"{folder}/{BASE_NOTE}"
            unpublished = folder.rpartition("/")[2] not in self.outputs
            if note in self.entries and unpublished and is_active:
                yield str(read_json(self.store, note).get("base", ""))

    def _in_use(self, roots: set[str]) -> set[str]:
        """Return the ids of the roots, of their lineage, and of what judged them."""
        reached: set[str] = set()
        waiting = [id for id in ids_in(roots) if id in self.outputs]
        while waiting:
            id = waiting.pop()
            if id not in reached:
                reached.add(id)
                inputs = ids_in(self.outputs[id].lineage.values())
                waiting += [other for other in inputs if other in self.outputs]
        for id, manifest in self.outputs.items():
            kind = KINDS.get(manifest.kind)
            if kind and kind.judges and manifest.lineage.get(kind.judges) in reached:
                reached.add(id)
        return reached

    def _replaced(self) -> Iterator[str]:
        """Yield the files that a compaction replaced a short while ago: they may be in use."""
        for key, entry in self.entries.items():
            if is_replaced_note(key) and entry.modified >= self.oldest_kept:
                yield from read_json(self.store, key).get("keys", [])

    def _memos(self, kept: set[str]) -> Iterator[Garbage]:
        for key, entry in self.entries.items():
            if _MEMO.fullmatch(key) and entry.modified < self.oldest_kept:
                ids = {value for value in read_json(self.store, key).values() if value}
                if not ids & kept:
                    yield _garbage(key, "names an output that is gone", [entry])

    def _checkpoints(self) -> Iterator[Garbage]:
        """Yield the checkpoints of trainings that were published or given up."""
        trainings: dict[str, list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            if match := _CHECKPOINT_KEY.fullmatch(key):
                trainings[match[1]].append(entry)
        for folder, entries in sorted(trainings.items()):
            if not self._is_recent(entries) and not self._is_leased(folder):
                published = folder.rpartition("/")[2] in self.outputs
                reason = "the training is published" if published else "never published"
                yield _garbage(f"{CHECKPOINTS}/{folder}", reason, entries, lease=folder)

    def _ended_leases(self) -> Iterator[Garbage]:
        old = [entry for entry in self.leases.ended if entry.modified < self.oldest_kept]
        if old:
            total = sum(entry.size for entry in old)
            keys = tuple(entry.key for entry in old)
            yield Garbage("leases", "nobody holds them", keys, total, lease="")

    def _unpublished_versions(self) -> Iterator[Garbage]:
        """Yield the files of model versions that were never published."""
        versions: dict[tuple[str, int], list[Entry]] = defaultdict(list)
        for key, entry in self.entries.items():
            if (version := version_of_key(key)) is not None:
                versions[version].append(entry)
        for version, entries in sorted(versions.items()):
            published, lease = marker_key(*version) in self.entries, model_folder(version[0])
            if not (published or self._is_recent(entries) or self._is_leased(lease)):
                yield _garbage(version_folder(*version), "never published", entries, lease=lease)

    def _part_files(self) -> Iterator[Garbage]:
        for entry in self.store.unfinished_writes():
            if entry.modified < self.oldest_kept:
                yield _garbage(entry.key, "partly written", [entry])


def _garbage(
    name: str, reason: str, entries: list[Entry], output: str = "", lease: str = ""
) -> Garbage:
    # The manifest is deleted first, so that an incomplete output is never visible.
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


def read_json(store: Store, key: str) -> Mapping[str, Any]:
    """Return a stored JSON object; an empty one if it is none."""
    return parse_json(store.read(key, documents.MAXIMUM_JSON_BYTES))


def parse_json(data: bytes) -> Mapping[str, Any]:
    """Return a JSON object; an empty one if the text is none."""
    try:
        document = documents.parse_json(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def ids_in(texts: Iterable[str]) -> set[str]:
    """Return the ids in texts, which may contain several each."""
    return {id for text in texts for id in _ID.findall(text)}


def output_of_status(store: Store, key: str) -> str:
    """Return the id of the output that the status of a step names."""
    parts = str(read_json(store, key).get("output", "")).split("/")
    return parts[-2] if len(parts) > 1 else ""
