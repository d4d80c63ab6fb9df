"""The outputs of a chain: every manifest, and every file that it lists."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from mammo_core.datasets.manifests import SHARD_TABLE, Manifest, StoredFile, parse
from mammo_core.datasets.shard_tables import complete
from mammo_core.documents import MAXIMUM_JSON_BYTES
from mammo_core.errors import RecordError
from mammo_core.packaging.chain import Link
from mammo_core.packaging.signatures.trust import TrustPolicy
from mammo_core.registry.audit.report import Fault
from mammo_core.registry.audit.rewrites import Rewrite, trace_rewrites
from mammo_core.store import Store
from mammo_core.store.base import DamagedError, file_sha256


@dataclass
class OutputAudit:
    """Reads outputs and their files, each once, and collects what is wrong with them.

    Attributes:
        store: The object store.
        trust: The keys that notes of rewrites must be signed by.
        faults: What is wrong.
        objects: Keys that were read.
    """

    store: Store
    trust: TrustPolicy | None
    faults: list[Fault] = field(default_factory=list)
    objects: set[str] = field(default_factory=set)
    _manifests: dict[Link, Manifest | None] = field(default_factory=dict)
    _notes: dict[Link, list[str]] = field(default_factory=dict)
    _pending: dict[tuple[str, str], StoredFile] = field(default_factory=dict)

    def add(self, link: Link, *, may_be_gone: bool = False) -> tuple[Manifest | None, list[str]]:
        """Verify the manifest of an output; its files are verified by `files`.

        Args:
            link: The output in a chain.
            may_be_gone: Whether the output may have been removed: it is a copy, or what another
                output of the chain has too.

        Returns:
            Its manifest; None if it is missing or faulty. And what there is to know about it.
        """
        if link not in self._manifests:
            self._notes[link] = []
            self._manifests[link] = self._read(link, may_be_gone)
        return self._manifests[link], self._notes[link]

    def files(self) -> Iterable[StoredFile]:
        """Verify every file of the outputs that were added, yielding each before it is read."""
        for file in list(self._pending.values()):
            yield file
            self._verify(file)

    @property
    def file_count(self) -> int:
        """Number of files that `files` verifies."""
        return len(self._pending)

    def fault(self, key: str, problem: str) -> None:
        """Add a fault, unless it is known."""
        fault = Fault(key=key, problem=problem)
        if fault not in self.faults:
            self.faults.append(fault)

    def _read(self, link: Link, may_be_gone: bool) -> Manifest | None:
        if not self.store.exists(link.key):
            if may_be_gone:
                self._notes[link].append(f"{link.folder} was removed")
            else:
                self.fault(link.key, "it is missing")
            return None
        data = self.store.read(link.key, MAXIMUM_JSON_BYTES)
        self.objects.add(link.key)
        digest = hashlib.sha256(data).hexdigest()
        if digest != link.manifest and not self._is_rewritten(link, digest):
            return None
        try:
            listed = parse(data, link.key)
        except RecordError as error:
            self.fault(link.key, error.received)
            return None
        try:
            manifest = complete(self.store, listed)
        except RecordError as error:
            self.fault(listed.file(SHARD_TABLE).key, error.received)
            return None
        if manifest.key != link.key:
            self.fault(link.key, f"it is the manifest of {manifest.folder}")
            return None
        for file in manifest.files:
            self._pending[file.key, file.sha256] = file
        return manifest

    def _is_rewritten(self, link: Link, digest: str) -> bool:
        steps, faults = trace_rewrites(self.store, link.folder, link.manifest, digest, self.trust)
        for key, problem in faults:
            self.fault(key, problem)
        if not steps and not faults:
            expected = f"SHA-256 {link.manifest}, as in the chain"
            self.fault(link.key, f"it was changed: expected {expected}, received {digest}")
        self._notes[link] += [_rewritten(link, step) for step in reversed(steps)]
        return bool(steps)

    def _verify(self, file: StoredFile) -> None:
        self.objects.add(file.key)
        if not self.store.exists(file.key):
            self.fault(file.key, "it is missing")
            return
        try:
            digest = file_sha256(self.store.fetch(file.key))
        except DamagedError as error:  # a store that keeps digests notices it first
            self.fault(file.key, error.received)
            return
        if digest != file.sha256:
            self.fault(
                file.key, f"it was changed: expected SHA-256 {file.sha256}, received {digest}"
            )


def _rewritten(link: Link, step: Rewrite) -> str:
    return f"{link.folder} was written again: {step.text}"
