"""The entries of a champion: each change of it is one, numbered, chained and signed.

    models/<name>/champion             the entry in force, moved by a conditional write
    models/<name>/champions/<k>.json   every entry, written once, after the pointer moved to it

The number only grows, so an older entry that is put back in place of the pointer is noticed: a
later one exists. Where MAMMO_TRUST is set, the pointer must be signed by a trusted key. Whoever
can remove the latest entries from the store too can go back unnoticed, unless the trust policy
states the least number (`champions`), or the bucket keeps every version of an object.
"""

import hashlib
import json
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import ModelError
from mammo_core.packaging.signatures.keys import SigningKey
from mammo_core.packaging.signatures.trust import UNSIGNED, TrustPolicy
from mammo_core.registry.versions import parse_file, require_name, to_file
from mammo_core.store import Store

Action = Literal["begin", "push", "promote", "rollback"]
#: Media type of what the signature of an entry is about.
ENTRY_TYPE: Final = "application/vnd.mammo-pipelines.champion+json"
_PROMOTE = "`mammo models promote NAME VERSION` states the champion anew."


class ChampionEntry(BaseModel):
    """A change of the champion of a model.

    Attributes:
        name: Name of the model.
        sequence: Number of the entry, from 1.
        action: What changed it; `begin` before the first version, without a champion.
        version: The champion's version from here on; None: there is no champion.
        model_id: The champion's model id.
        before: Earlier champions, the latest last; `rollback` walks back through them.
        withdrawn: Versions that were rolled back; a push never makes their models champion again.
        previous: SHA-256 (hex) of the entry before this one; empty if there is none.
        signed_by: SHA-256 (hex) of the public key's DER bytes, or `unsigned`.
        signature: Signature of all other fields (base64); empty if unsigned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sequence: int = Field(ge=1)
    action: Action
    version: int | None = None
    model_id: str = ""
    before: tuple[int, ...] = ()
    withdrawn: tuple[int, ...] = ()
    previous: str = ""
    signed_by: str = UNSIGNED
    signature: str = ""

    @property
    def content(self) -> bytes:
        """The bytes that are signed: sorted JSON of all fields but the signature."""
        value = self.model_dump(mode="json", exclude={"signature"})
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    def signed(self, key: SigningKey | None) -> "ChampionEntry":
        """Return the entry, signed if there is a key."""
        if key is None:
            return self
        entry = self.model_copy(update={"signed_by": key.public_id()})
        return entry.model_copy(update={"signature": key.sign(ENTRY_TYPE, entry.content)})

    def require_trusted(self, trust: TrustPolicy | None) -> None:
        """Require the signature of a trusted key, if there is a policy.

        Raises:
            ModelError: It is unsigned, signed by another key, or was changed.
        """
        if trust is None:
            return
        what = f"the champion's entry {self.sequence} of {self.name}"
        key = trust.require(self.signed_by, what)
        if not key.has_signed_text(ENTRY_TYPE, self.content, self.signature):
            raise ModelError(
                f"The signature of {what} is invalid",
                expected=f"a signature by {key.name}",
                received="one that the key did not make",
                hint=_PROMOTE,
            )


def pointer_key(name: str) -> str:
    """Return the key of the entry in force."""
    return f"models/{require_name(name)}/champion"


def entry_key(name: str, sequence: int) -> str:
    """Return the key of an entry."""
    return f"models/{require_name(name)}/champions/{sequence}.json"


def read_pointer(store: Store, name: str) -> tuple[bytes | None, ChampionEntry | None]:
    """Return the entry in force, as stored and parsed; None twice before the first push.

    Raises:
        ModelError: It is missing although versions or entries exist, was replaced by an older one,
            is not signed by a trusted key, or is damaged. None of this may look like "no
            champion": a gate would then compare with nothing.
        StoreError: The store fails.
    """
    trust = TrustPolicy.from_environment()
    # Listed first: an entry is written after the pointer moved to it, so the pointer is never
    # behind an earlier listing.
    least = _least_sequence(store, name, trust)
    data = _read(store, name)
    if data is None:
        if not least and not _has_versions(store, name):
            return None, None
        data = _read(store, name)  # the first push may have begun since
    if data is None:
        raise ModelError(
            f"The pointer to the champion of {name} is missing",
            expected=f"{pointer_key(name)}, because the model has versions or earlier champions",
            received="no such file",
            hint=_PROMOTE,
        )
    entry = parse_entry(data, name)
    entry.require_trusted(trust)
    if entry.sequence < least:
        raise ModelError(
            f"The pointer to the champion of {name} was replaced by an older one",
            expected=f"entry {least} or a later one",
            received=f"entry {entry.sequence}, version {entry.version}",
            hint=f"Find out who wrote it; {_PROMOTE}",
        )
    return data, entry


def read_for_repair(store: Store, name: str) -> tuple[bytes | None, ChampionEntry, int]:
    """Return what can be saved of a champion whose pointer `read_pointer` refuses.

    Returns:
        The pointer as stored; the latest entry that is intact (an empty one if none is); and the
        sequence number after every known one.

    Raises:
        StoreError: The store fails.
    """
    trust = TrustPolicy.from_environment()
    least = _least_sequence(store, name, trust)
    data = _read(store, name)
    saved = ChampionEntry(name=name, sequence=1, action="begin")
    numbers = sorted(entry_numbers(store, name), reverse=True)
    stored = (data, *(store.read(entry_key(name, number)) for number in numbers[:1]))
    for candidate in stored:
        try:
            entry = parse_entry(candidate, name) if candidate is not None else saved
            entry.require_trusted(trust)
        except ModelError:
            continue
        if entry.sequence >= saved.sequence:
            saved = entry
    return data, saved, max(least, saved.sequence) + 1


def read_entries(store: Store, name: str) -> list[ChampionEntry]:
    """Return all entries of a model's champion in order.

    The pointer is verified as in `read_pointer`; each earlier entry by its digest in the one after
    it, whose key may have been replaced since. Where a pointer had to be replaced, the chain begins
    anew, and the entry before that must be signed by a trusted key itself.

    Raises:
        ModelError: An entry is missing or damaged, or does not come before the next one.
        StoreError: The store fails.
    """
    data, current = read_pointer(store, name)
    if current is None or data is None:
        return []
    entries = [current]
    for number in range(current.sequence - 1, 0, -1):
        key = entry_key(name, number)
        data = store.read(key) if store.exists(key) else b""
        if not data and number < min(entry_numbers(store, name), default=0):
            break  # the log was lost before an operator stated the champion anew
        entry = parse_entry(data, name)
        if entry.sequence != number:
            raise ModelError(
                f"{key} is another entry",
                expected=f"the entry {number}",
                received=f"the entry {entry.sequence}",
            )
        if digest_of(data) != entries[-1].previous:
            if entries[-1].action != "promote":
                raise ModelError(
                    f"The champion's entry {number} of {name} is not the one before the next",
                    expected=f"SHA-256 {entries[-1].previous}",
                    received=f"SHA-256 {digest_of(data)}",
                )
            entry.require_trusted(TrustPolicy.from_environment())
        entries.append(entry)
    return entries[::-1]


def log_entry(store: Store, name: str, entry: ChampionEntry, data: bytes) -> None:
    """Write the entry in force to the log, unless it is there; also after a mover was killed.

    Raises:
        ModelError: The log has another entry of that number.
        StoreError: The store fails.
    """
    key = entry_key(name, entry.sequence)
    if not store.exists(key) and store.write_if(key, data, None):
        return
    if store.read(key) != data:
        raise ModelError(
            f"The log of champions of {name} contradicts its pointer",
            expected=f"{key} as in {pointer_key(name)}",
            received="another entry of that number",
            hint=_PROMOTE,
        )


def parse_entry(data: bytes, name: str) -> ChampionEntry:
    """Parse an entry of a model.

    Raises:
        ModelError: It is damaged, or of another model.
    """
    key = pointer_key(name)
    entry = parse_file(ChampionEntry, data, key)
    if entry.name != name:
        raise ModelError(
            f"The champion {key} is of another model",
            expected=f"an entry of {name}",
            received=f"an entry of {entry.name}",
            hint=_PROMOTE,
        )
    return entry


def digest_of(data: bytes) -> str:
    """Return the SHA-256 (hex) of an entry as it is stored."""
    return hashlib.sha256(data).hexdigest()


def entry_bytes(entry: ChampionEntry) -> bytes:
    """Return an entry as it is stored."""
    return to_file(entry)


def _read(store: Store, name: str) -> bytes | None:
    key = pointer_key(name)
    return store.read(key) if store.exists(key) else None


def entry_numbers(store: Store, name: str) -> list[int]:
    """Return the numbers of the entries in the log."""
    keys = store.list(f"models/{require_name(name)}/champions/")
    numbers = (key.rpartition("/")[2].removesuffix(".json") for key in keys)
    return [int(number) for number in numbers if number.isdecimal()]


def _least_sequence(store: Store, name: str, trust: TrustPolicy | None) -> int:
    stated = trust.champions.get(name, 0) if trust is not None else 0
    return max([stated, *entry_numbers(store, name)])


def _has_versions(store: Store, name: str) -> bool:
    return any(True for _ in store.list(f"models/{name}/published/"))
