"""Whether a candidate is already a version of its model."""

from mammo_core.datasets import Manifest
from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.registry.versions import VersionRef
from mammo_core.store import Store


def is_version(store: Store, candidate: Manifest, version: VersionRef) -> bool:
    """Return whether a version was made from this candidate, or from the same training.

    A candidate that was built again, by other versions of the libraries, may have another id.

    Args:
        store: Where the registry is.
        candidate: A published candidate.
        version: A version in the registry.

    Raises:
        ModelError: The lineage of the version cannot be read.
        StoreError: The store fails.
    """
    if CANDIDATE.facts_of(candidate).model_id == version.model_id:
        return True
    lineage = version.lineage(store)
    names = ("image_training", "evaluation")
    return all(lineage.get(f"{name}_id") == candidate.lineage[name] for name in names)
