"""Notes of manifests that were written again on purpose, so that a chain accepts them.

    rewrites/<SHA-256 of the new manifest>.json

`mammo store forget` removes a patient from outputs, and `mammo store gc --compact` removes records
that a dataset excludes: the id stays, the manifest does not. A note is written before the manifest
and signed with the key that signs packages. One whose manifest was never written does no harm.
"""

import hashlib
import json
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import MammoError
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.packaging.signatures.trust import UNSIGNED, TrustPolicy
from mammo_core.registry.audit.signers import signature_fault
from mammo_core.registry.versions import parse_file, to_file
from mammo_core.sources.identity.forgotten import TOMBSTONE_TYPE, tombstone_content
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store

_TYPE: Final = "application/vnd.mammo-pipelines.rewrite+json"
_FOLDER: Final = "rewrites"
#: Rewrites of one output; more are a circle.
_MOST: Final = 10_000


class Rewrite(BaseModel):
    """The note of a manifest that was written again.

    Attributes:
        folder: Folder of the output.
        before: SHA-256 (hex) of the manifest that was replaced.
        after: SHA-256 (hex) of the new one.
        reason: Why: a patient was forgotten, or records that were excluded anyway were removed.
        tombstone: Key of the patient's tombstone; empty if there is none.
        signed_by: SHA-256 (hex) of the public key's DER bytes, or `unsigned`.
        signature: Signature of all other fields (base64); empty if unsigned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    before: str
    after: str
    reason: Literal["forgotten", "compacted"]
    tombstone: str = ""
    signed_by: str = UNSIGNED
    signature: str = ""

    @property
    def content(self) -> bytes:
        """The bytes that are signed: sorted JSON of all fields but the signature."""
        value = self.model_dump(mode="json", exclude={"signature"})
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    @property
    def text(self) -> str:
        """What happened, in a clause."""
        if self.reason == "compacted":
            return "excluded records were removed"
        return f"a patient was removed (tombstone {self.tombstone})"


def note_rewrite(
    store: Store,
    folder: str,
    before: bytes,
    after: bytes,
    key: SigningKey | None,
    tombstone: str = "",
) -> None:
    """Write the note of a manifest that is about to be replaced.

    Args:
        store: The object store.
        folder: Folder of the output.
        before: The manifest as it is stored.
        after: The manifest that replaces it.
        key: Signs the note; None leaves it unsigned.
        tombstone: Key of the tombstone of the patient who is removed; empty: a compaction.
    """
    note = Rewrite(
        folder=folder,
        before=hashlib.sha256(before).hexdigest(),
        after=hashlib.sha256(after).hexdigest(),
        reason="forgotten" if tombstone else "compacted",
        tombstone=tombstone,
        signed_by=key.public_id() if key is not None else UNSIGNED,
    )
    if key is not None:
        note = note.model_copy(update={"signature": key.sign(_TYPE, note.content)})
    store.write(_key(note.after), to_file(note))


def trace_rewrites(
    store: Store, folder: str, recorded: str, current: str, trust: TrustPolicy | None
) -> tuple[list[Rewrite], list[tuple[str, str]]]:
    """Return how a manifest came to be another one than a chain records.

    Args:
        store: The object store.
        folder: Folder of the output.
        recorded: SHA-256 (hex) of its manifest in the chain.
        current: SHA-256 (hex) of its manifest in the store.
        trust: The keys that notes must be signed by; None: they may be unsigned.

    Returns:
        The rewrites, the latest first, and faults: key of an object and what is wrong with it. No
        rewrite and no fault: nothing explains the other manifest.
    """
    steps: list[Rewrite] = []
    while current != recorded and len(steps) < _MOST:
        key = _key(current)
        if not store.exists(key):
            return [], []
        try:
            note = parse_file(Rewrite, store.read(key, MAXIMUM_NOTE_BYTES), key)
        except MammoError as error:
            return [], [(key, error.received)]
        if (note.folder, note.after) != (folder, current):
            return [], [(key, "it is the note of another manifest")]
        fault = signature_fault(trust, note.signed_by, _TYPE, note.content, note.signature)
        if fault:
            return [], [(key, fault)]
        if note.reason == "forgotten":
            fault = _tombstone_fault(store, note.tombstone, trust)
            if fault:
                return [], [(note.tombstone, fault)]
        steps.append(note)
        current = note.before
    return steps, []


def _tombstone_fault(store: Store, key: str, trust: TrustPolicy | None) -> str:
    """Return what is wrong with a tombstone; empty if it is sound."""
    if not store.exists(key):
        return "the tombstone that a rewrite names is missing"
    try:
        content, signed_by, signature = tombstone_content(store, key)
    except MammoError as error:
        return error.received
    return signature_fault(trust, signed_by, TOMBSTONE_TYPE, content, signature)


def _key(digest: str) -> str:
    return f"{_FOLDER}/{digest}.json"
