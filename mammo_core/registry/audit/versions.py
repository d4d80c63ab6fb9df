"""Published versions: their markers, files, signatures, and the chains that they vouch for."""

import hashlib
from typing import TypeVar

from pydantic import BaseModel

from mammo_core.errors import MammoError
from mammo_core.packaging.chain import CHAIN, Chain, Link, inputs_of
from mammo_core.packaging.contents import RELEASE, SIGNATURE, Release
from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.packaging.signatures.checksums import SUMS, parse_sums
from mammo_core.packaging.signatures.signing import signed_digests, verify_signature
from mammo_core.packaging.signatures.trust import UNSIGNED
from mammo_core.registry.audit.outputs import OutputAudit
from mammo_core.registry.audit.report import AuditedVersion
from mammo_core.registry.audit.signers import signer_name
from mammo_core.registry.keys import marker_key, version_folder
from mammo_core.registry.release_decision import DECISION, ReleaseDecision
from mammo_core.registry.versions import PublishedMarker, parse_file
from mammo_core.store.base import file_sha256

_Model = TypeVar("_Model", bound=BaseModel)
#: Written by a release: a candidate does not have them.
_OF_RELEASE = {RELEASE, SIGNATURE, SUMS, DECISION}


class VersionAudit:
    """The audit of one published version.

    Args:
        outputs: The outputs of all versions.
        name: Name of the model.
        version: Number of the version.
    """

    def __init__(self, outputs: OutputAudit, name: str, version: int) -> None:
        self.outputs, self.name, self.version = outputs, name, version
        self.store, self.trust = outputs.store, outputs.trust
        self.folder, self.marker_key = version_folder(name, version), marker_key(name, version)
        self._digests: dict[str, str] = {}
        self._notes: list[str] = []

    def run(self) -> AuditedVersion:
        """Verify the version and its chain; faults are added to those of the outputs."""
        marker = self._marker()
        listed = self._listed(marker)
        for name, expected in sorted(listed.items()):
            self._verify_file(name, expected)
        self._verify_surplus(listed)
        self._verify_signature(listed, marker)
        self._verify_release(listed, marker)
        chain = self._parse(listed, CHAIN, Chain)
        decision = self._parse(listed, DECISION, ReleaseDecision)
        links = [*(chain.links if chain else ()), *(decision.links if decision else ())]
        for link in links:
            self._verify_link(link, listed)
        self._verify_connected(links)
        if chain is None and CHAIN not in listed:
            self._notes.append(f"its package has no {CHAIN}: what it rests on is not verified")
        if decision is not None and marker is not None and decision.model_id != marker.model_id:
            self._fault(DECISION, f"it is about the model {decision.model_id[:12]}")
        return self._summary(marker, decision, len(links))

    def _summary(
        self, marker: PublishedMarker | None, decision: ReleaseDecision | None, outputs: int
    ) -> AuditedVersion:
        signed_by = marker.signed_by if marker is not None else UNSIGNED
        plan = decision.plan if decision is not None else None
        return AuditedVersion(
            version=self.version,
            model_id=marker.model_id if marker is not None else "",
            signed_by=signer_name(self.trust, signed_by),
            decision=decision.decision if decision is not None else "by hand, without a gate",
            champion=decision.champion if decision is not None else "",
            plan=f"{plan.name} ({plan.digest[:12]})" if plan is not None else "",
            changes=len(decision.changes) if decision is not None else 0,
            reasons=decision.reasons if decision is not None else (),
            outputs=outputs,
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def _marker(self) -> PublishedMarker | None:
        self.outputs.objects.add(self.marker_key)
        try:
            data = self.store.read(self.marker_key)
            return parse_file(PublishedMarker, data, self.marker_key)
        except MammoError as error:
            self.outputs.fault(self.marker_key, error.received)
            return None

    def _listed(self, marker: PublishedMarker | None) -> dict[str, str]:
        """Return the digests in SHA256SUMS; empty if it cannot be used."""
        key = f"{self.folder}/{SUMS}"
        self.outputs.objects.add(key)
        if not self.store.exists(key):
            self._fault(SUMS, "it is missing")
            return {}
        data = self.store.read(key)
        try:
            listed = parse_sums(data, self.folder)
        except MammoError as error:
            self._fault(SUMS, error.received)
            return {}
        if marker is None or hashlib.sha256(data).hexdigest() == marker.sums:
            return listed
        if self._is_signed(listed):
            self.outputs.fault(self.marker_key, f"it names another {SUMS} than the signed one")
            return listed
        both = f"{SUMS} and {self.marker_key} contradict each other: one of them was changed"
        self._fault(SUMS, both)
        self.outputs.fault(self.marker_key, both)
        return listed

    def _is_signed(self, listed: dict[str, str]) -> bool:
        """Whether these very digests were signed by a trusted key."""
        key = f"{self.folder}/{SIGNATURE}"
        if self.trust is None or SIGNATURE not in listed or not self.store.exists(key):
            return False
        data = self.store.read(key)
        if hashlib.sha256(data).hexdigest() != listed[SIGNATURE]:
            return False
        try:
            verify_signature(listed, data, self.trust, self.folder)
        except MammoError:
            return False
        return True

    def _verify_file(self, name: str, expected: str) -> None:
        key = f"{self.folder}/{name}"
        self.outputs.objects.add(key)
        if not self.store.exists(key):
            self._fault(name, "it is missing")
            return
        self._digests[name] = file_sha256(self.store.fetch(key))
        if self._digests[name] != expected:
            self._fault(
                name, f"it was changed: expected SHA-256 {expected}, received {self._digests[name]}"
            )

    def _verify_surplus(self, listed: dict[str, str]) -> None:
        if not listed:
            return
        for key in self.store.list(f"{self.folder}/"):
            name = key.removeprefix(f"{self.folder}/")
            if name not in listed and name != SUMS:
                self._fault(name, f"it is surplus: {SUMS} does not list it")

    def _verify_signature(self, listed: dict[str, str], marker: PublishedMarker | None) -> None:
        if self.trust is None or not listed:
            return
        is_intact = self._is_intact(listed, SIGNATURE)
        data = self.store.read(f"{self.folder}/{SIGNATURE}") if is_intact else None
        if SIGNATURE in listed and data is None:
            return  # the file is a fault already
        what = f"version {self.version} of {self.name}"
        try:
            key, signed = signed_digests(data, self.trust, what)
        except MammoError as error:
            self._fault(SIGNATURE, str(error))
            return
        actual = {name: digest for name, digest in listed.items() if name != SIGNATURE}
        if actual != signed:
            self._fault(SUMS, "it does not list the files that were signed")
        if marker is not None and marker.signed_by != key.id:
            self.outputs.fault(self.marker_key, f"the version is signed by {key.name}")

    def _verify_release(self, listed: dict[str, str], marker: PublishedMarker | None) -> None:
        release = self._parse(listed, RELEASE, Release)
        if release is None or marker is None:
            return
        if (release.name, release.version) != (self.name, self.version):
            self._fault(RELEASE, f"it is version {release.version} of {release.name}")
        if (release.model_id, release.signed_by) != (marker.model_id, marker.signed_by):
            self.outputs.fault(self.marker_key, f"{RELEASE} names another model or signer")

    def _verify_link(self, link: Link, listed: dict[str, str]) -> None:
        """Verify an output; a candidate may be gone, because its files are those of the version."""
        is_candidate = link.kind == CANDIDATE.folder
        manifest, notes = self.outputs.add(link, may_be_gone=is_candidate)
        self._notes += notes
        if manifest is None or not is_candidate:
            return
        for file in manifest.files:
            if file.name not in _OF_RELEASE and listed.get(file.name) != file.sha256 and listed:
                self._fault(file.name, f"{manifest.folder} has another file of that name")

    def _verify_connected(self, links: list[Link]) -> None:
        """Say which outputs were gone when the chain was made: nothing vouches for them."""
        known = {link.folder for link in links}
        for link in links:
            manifest, _ = self.outputs.add(link, may_be_gone=link.kind == CANDIDATE.folder)
            for kind, id in inputs_of(manifest) if manifest is not None else ():
                if kind.output(id) not in known:
                    gone = f"{kind.output(id)}, which was gone when the chain was made"
                    self._notes.append(f"{link.folder} was made from {gone}")

    def _parse(self, listed: dict[str, str], name: str, model: type[_Model]) -> _Model | None:
        if not self._is_intact(listed, name):
            return None
        key = f"{self.folder}/{name}"
        try:
            return parse_file(model, self.store.read(key), key)
        except MammoError as error:
            self._fault(name, str(error))
            return None

    def _is_intact(self, listed: dict[str, str], name: str) -> bool:
        return name in listed and self._digests.get(name) == listed[name]

    def _fault(self, name: str, problem: str) -> None:
        self.outputs.fault(f"{self.folder}/{name}", problem)
