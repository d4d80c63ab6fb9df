"""Whether the test patients of a frame were fitted to by a package, or by one of its ancestors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features.data_checks.contamination import FITTED_SPLITS, patient_overlap
from mammo_core.registry.lineage.ancestry import (
    Ancestry,
    StartReader,
    ancestry,
    ancestry_of,
    recorded_site_key,
)
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["champion", "start package", "training"]


@dataclass(frozen=True)
class Contamination:
    """The test patients that a package was fitted to.

    Attributes:
        role: What the package is to the run.
        package: Its URI.
        test_patients: Number of test patients.
        fitted: Number of those that it was fitted to.
        overlaps: Where they were, one text for each frame.
        unknown: Why there may be more, one sentence each.
        fitted_images: Number of their test images.
        shared: Keys of the patients that it was fitted to; in no record.
        excluded: Whether these are left out of the test set.
    """

    role: Role
    package: str
    test_patients: int
    fitted: int
    overlaps: tuple[str, ...]
    unknown: tuple[str, ...]
    fitted_images: int = 0
    shared: frozenset[str] = frozenset()
    excluded: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the summary; `state` is none, unknown or contaminated."""
        return {
            "role": self.role,
            "package": self.package,
            "test_patients": self.test_patients,
            "fitted": self.fitted,
            "fitted_images": self.fitted_images,
            "state": self.state,
            "reasons": list(self.unknown),
        }

    @property
    def state(self) -> str:
        """`none`, `unknown`, `contaminated`, or `excluded`: contaminated, and left out."""
        if self.fitted:
            return "excluded" if self.excluded else "contaminated"
        return "unknown" if self.unknown else "none"

    def description(self) -> str:
        """Return a sentence for the log of a run."""
        total = self.test_patients
        if self.excluded and self.fitted:
            return (
                f"{self.fitted} of {total} test patients with {self.fitted_images} images are "
                f"excluded: the {self.role} {self.package}, or a model that it was started from, "
                "was fitted to them"
            )
        if self.unknown:
            return (
                f"unknown whether the {self.role} {self.package} was fitted to any of the {total} "
                "test patients: " + "; ".join(self.unknown)
            )
        return f"the {self.role} {self.package} was fitted to none of the {total} test patients"


def find_contamination(
    store: Store, frame: Manifest, uri: str, role: Role, read_starts: StartReader
) -> Contamination:
    """Find the test patients that a package, or one that it was started from, was fitted to.

    Args:
        store: The object store.
        frame: The frame with the test set.
        uri: The package.
        role: What the package is to the run.
        read_starts: Returns the packages that a run of a store started from.
    """
    ours = read_table(store, frame, "images.parquet")
    site_key = recorded_site_key([store], frame)
    return contamination_of(ours, site_key, uri, role, ancestry(uri, store, read_starts))


def contamination_of(
    ours: "pd.DataFrame", site_key: str, uri: str, role: Role, origin: Ancestry
) -> Contamination:
    """Find the test patients that a package of known ancestry was fitted to.

    Args:
        ours: The images with the test set: image_id, patient_key, source, manufacturer, split.
        site_key: Fingerprint of the site key of their patient keys; empty if unknown.
        uri: The package.
        role: What the package is to the run.
        origin: Its ancestry.
    """
    unknown, shared, overlaps = list(origin.unknown), set[str](), []
    for fitted in origin.frames:
        overlap = patient_overlap(ours, fitted.images, (site_key, fitted.site_key))
        if overlap.shared:
            shared |= overlap.shared
            overlaps.append(f"{len(overlap.shared)} in the frame {fitted.id} of {fitted.package}")
        if overlap.uncertainty:
            unknown.append(f"{overlap.uncertainty} (frame {fitted.id} of {fitted.package})")
    test = ours[ours["split"] == "test"]
    for name, patients in origin.lists:
        listed = patients.patients_in(test, FITTED_SPLITS)
        shared |= listed
        if listed:
            overlaps.append(f"{len(listed)} in the list of patients of {name}")
        if patients.has_other_keys(site_key):
            unknown.append(f"the patient keys of {name} were made with another site key")
    return Contamination(
        role,
        uri,
        int(test["patient_key"].nunique()),
        len(shared),
        tuple(overlaps),
        tuple(unknown),
        fitted_images=int(test["patient_key"].isin(shared).sum()),
        shared=frozenset(shared),
    )


def contamination_error(result: Contamination, store: Store) -> RecordError:
    """Return the error of a test set that a package was fitted to."""
    return RecordError(
        f"{result.fitted} of {result.test_patients} test patients were in the training or "
        f"validation set of the {result.role} {result.package}, or of a model that it was started "
        "from",
        expected="test patients that no earlier training was fitted to",
        received="; ".join(result.overlaps),
        hint="leave them out of the test set: split.overlap=exclude; or keep every patient on the "
        f"side where she was: split.name=given with split.patients as in the frame's "
        f"splits.parquet in {store.uri}/frames, new patients added (docs/evaluation.md); or train "
        "from the beginning under another model_name",
    )


def require_unseen_test_patients(
    store: Store,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
    run_id: str,
    read_start_packages: StartReader,
) -> None:
    """Refuse a test set with patients that a network, a member of it or an ancestor was fitted to.

    Networks of several folds that are combined are tested on patients outside all of them.

    Args:
        store: The object store.
        frame: The frame whose test set is used.
        patch_training: The patch classifier.
        image_training: The whole-image classifier.
        run_id: The run that tests them.
        read_start_packages: Returns the packages that another run started from.

    Raises:
        RecordError: There are such patients.
        StoreError: The store fails.
    """
    lineage = {
        "frame_id": frame.id,
        "image_training_id": image_training.id,
        "patch_training_id": patch_training.id,
        "run_id": run_id,
    }
    origin = ancestry_of("the trained model", lineage, store, read_start_packages)
    if {fitted.id for fitted in origin.frames} == {frame.id} and not origin.lists:
        return  # its own test set
    images = read_table(store, frame, "images.parquet")
    site_key = recorded_site_key([store], frame)
    result = contamination_of(images, site_key, image_training.id, "training", origin)
    if result.fitted:
        raise contamination_error(result, store)
