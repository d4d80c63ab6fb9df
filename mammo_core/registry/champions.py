"""The champion of a model: the version that `models/<name>` resolves to."""

from mammo_core.errors import ModelError
from mammo_core.registry.champion_entries import ChampionEntry, read_pointer
from mammo_core.registry.keys import version_uri
from mammo_core.registry.versions import VersionRef, read_marker
from mammo_core.store import Store


class ChampionRef(VersionRef):
    """The champion of a model.

    Attributes:
        sequence: Number of the entry that made it the champion.
    """

    sequence: int


def champion(store: Store, name: str) -> ChampionRef | None:
    """Return the champion of a model, or None if nothing was published yet.

    Raises:
        ModelError: The pointer is missing although there are versions, was replaced by an older
            one, is not signed by a trusted key (MAMMO_TRUST), is damaged, or points to a version
            that is not published. None of this may look like "no champion": a gate would then
            compare with nothing.
        StoreError: The store fails.
    """
    _, entry = read_pointer(store, name)
    if entry is None or entry.version is None:
        return None
    return reference_of(store, entry)


def reference_of(store: Store, entry: ChampionEntry) -> ChampionRef:
    """Return the champion that an entry names.

    Raises:
        ModelError: It names a version that is not published, or another model.
        StoreError: The store fails.
    """
    number = entry.version or 0
    marker = read_marker(store, entry.name, number)
    if marker.model_id != entry.model_id:
        raise ModelError(
            f"The champion of {entry.name} is not the model its pointer names",
            expected=f"model id {entry.model_id} as version {number}",
            received=f"model id {marker.model_id}",
        )
    return ChampionRef(
        name=entry.name,
        version=number,
        model_id=entry.model_id,
        uri=version_uri(store, entry.name, number),
        signed_by=marker.signed_by,
        sequence=entry.sequence,
    )
