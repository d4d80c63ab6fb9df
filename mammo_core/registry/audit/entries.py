"""The changes of a champion: every entry, its signature, and its place after the one before."""

from mammo_core.errors import MammoError
from mammo_core.packaging.signatures.trust import TrustPolicy
from mammo_core.registry.audit.outputs import OutputAudit
from mammo_core.registry.audit.report import AuditedEntry
from mammo_core.registry.audit.signers import signature_fault, signer_name
from mammo_core.registry.champion_entries import (
    ENTRY_TYPE,
    ChampionEntry,
    digest_of,
    entry_key,
    entry_numbers,
    parse_entry,
    pointer_key,
)
from mammo_core.store.base import DamagedError


def audit_entries(outputs: OutputAudit, name: str) -> tuple[AuditedEntry, ...]:
    """Verify every entry of a champion; faults are added to those of the outputs.

    Args:
        outputs: Collects faults.
        name: Name of the model.
    """
    store, trust = outputs.store, outputs.trust
    pointer = _Stored(outputs, pointer_key(name), name, trust)
    numbers = sorted(entry_numbers(store, name))
    entries = {k: _Stored(outputs, entry_key(name, k), name, trust) for k in numbers}
    last = max([*numbers, pointer.entry.sequence if pointer.entry is not None else 0], default=0)
    for number in range(1, last + 1):
        if number not in entries:
            if number == last and pointer.entry is not None and number == pointer.entry.sequence:
                continue  # its mover was killed before it wrote the log
            outputs.fault(entry_key(name, number), "it is missing")
            continue
        _verify_order(outputs, number, entries, pointer)
    _verify_pointer(outputs, pointer, entries, last)
    shown = {k: stored.entry for k, stored in entries.items()}
    if pointer.entry is not None:
        shown.setdefault(pointer.entry.sequence, pointer.entry)
    return tuple(
        AuditedEntry(
            sequence=entry.sequence,
            action=entry.action,
            version=entry.version,
            signed_by=signer_name(trust, entry.signed_by),
        )
        for _, entry in sorted(shown.items())
        if entry is not None
    )


class _Stored:
    """An entry as it is stored, and what is wrong with it by itself."""

    def __init__(
        self, outputs: OutputAudit, key: str, name: str, trust: TrustPolicy | None
    ) -> None:
        self.key, self.data = key, b""
        self.entry: ChampionEntry | None = None
        self.is_sound = False
        outputs.objects.add(key)
        if not outputs.store.exists(key):
            outputs.fault(key, "it is missing")
            return
        try:
            self.data = outputs.store.read(key)
            self.entry = parse_entry(self.data, name)
        except DamagedError as error:
            outputs.fault(key, error.received)
            return
        except MammoError as error:
            outputs.fault(key, f"{error.problem}: {error.received}")
            return
        entry = self.entry
        fault = signature_fault(trust, entry.signed_by, ENTRY_TYPE, entry.content, entry.signature)
        if fault:
            outputs.fault(key, fault)
        self.is_sound = not fault and trust is not None


def _verify_order(
    outputs: OutputAudit, number: int, entries: dict[int, _Stored], pointer: _Stored
) -> None:
    """Require that an entry has its number, and that the one after it names its bytes."""
    stored, after = entries[number], entries.get(number + 1)
    if after is None and pointer.entry is not None and pointer.entry.sequence == number + 1:
        after = pointer
    if stored.entry is not None and stored.entry.sequence != number:
        outputs.fault(stored.key, f"it is the entry {stored.entry.sequence}")
    if after is None or after.entry is None or not stored.data:
        return
    # After a pointer that could not be trusted, `promote` begins the chain anew: the entry before
    # it is then held by its own signature alone.
    begins = after.entry.action == "promote" and stored.is_sound and after.is_sound
    if after.entry.previous == digest_of(stored.data) or begins:
        return
    if not stored.is_sound or after.is_sound:
        outputs.fault(stored.key, f"it is not the entry that {after.key} follows: it was changed")
    if not after.is_sound:
        outputs.fault(after.key, f"it does not follow {stored.key}: one of the two was changed")


def _verify_pointer(
    outputs: OutputAudit, pointer: _Stored, entries: dict[int, _Stored], last: int
) -> None:
    if pointer.entry is None:
        return
    sequence = pointer.entry.sequence
    if sequence < last:
        outputs.fault(pointer.key, f"it is the entry {sequence}, and there is an entry {last}")
    logged = entries.get(sequence)
    if logged is None or logged.data == pointer.data:
        return
    for one, other in ((pointer, logged), (logged, pointer)):
        if not one.is_sound:
            outputs.fault(one.key, f"it differs from {other.key}: one of the two was changed")
    if pointer.is_sound and logged.is_sound:
        outputs.fault(logged.key, f"it is another entry than {pointer.key}")
