"""What rests on patients who were withdrawn (`mammo store forget`): models, evaluations, decisions.

They cannot be changed, and stay; whoever shows one says that a patient was withdrawn.
"""

from collections import Counter

from mammo_core.datasets.manifests import Manifest
from mammo_core.registry.versions import VersionRef
from mammo_core.runs.garbage import ids_in
from mammo_core.sources.identity.forgotten import TOMBSTONES
from mammo_core.store import MAXIMUM_NOTE_BYTES, Store, read_object


def withdrawals(store: Store) -> Counter[str]:
    """Return the number of withdrawn patients by what rests on them.

    Args:
        store: The store with the tombstones.

    Returns:
        `name/version` of a model, or folder of an output → number of patients.
    """
    counts: Counter[str] = Counter()
    for key in store.list(f"{TOMBSTONES}/"):
        content = read_object(store, key, MAXIMUM_NOTE_BYTES)
        models = {str(text).partition(":")[0] for text in content.get("models", [])}
        counts.update(models | {*content.get("trainings", []), *content.get("claims", [])})
    return counts


def withdrawn_from_version(store: Store, ref: VersionRef, counts: Counter[str]) -> int:
    """Return how many withdrawn patients a version rests on, also if it was pushed afterwards.

    Args:
        store: The store of the registry.
        ref: The version.
        counts: As `withdrawals` returns them.
    """
    if not counts:
        return 0
    lineage = ref.lineage(store)
    ids = ids_in(value for value in lineage.values() if isinstance(value, str))
    rested = [count for name, count in counts.items() if name.rpartition("/")[2] in ids]
    return max([counts.get(f"{ref.name}/{ref.version}", 0), *rested])


def withdrawn_text(manifest: Manifest, counts: Counter[str]) -> str:
    """Return what is said of an output that rests on withdrawn patients; empty otherwise.

    Args:
        manifest: The output.
        counts: As `withdrawals` returns them.
    """
    count = counts.get(manifest.folder, 0)
    if not count:
        return ""
    patients = "patient" if count == 1 else f"{count} patients"
    return f"{patients} withdrawn: {manifest.folder} rests on images that were removed since"
