"""The cases of a site: which of them a model scores, and how."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from mammo_core.documents import read_bounded
from mammo_core.duel.package_scores import scored_batches
from mammo_core.errors import RecordError, SourceError
from mammo_core.features.data_checks.contamination import FITTED_SPLITS
from mammo_core.packaging import OpenedPackage, Package
from mammo_core.packaging.patient_list import PATIENTS, PatientList
from mammo_core.scoring.domain import domain_warnings
from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.units import ScoringUnit
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.identity.forgotten import leave_out_forgotten
from mammo_core.sources.identity.patients import fingerprint, site_key
from mammo_core.sources.index import index
from mammo_core.sources.tables.source_tables import ProgressCall, SourceTables
from mammo_core.store import Store

#: Columns of the table of cases.
COLUMNS = (
    *("image_id", "patient_key", "exam_key", "laterality", "view_id", "label", "probability"),
    *("unlike_training", "warnings"),
)
#: Kinds of rejects that are cases.
_CASE_KINDS = ("image", "row")
#: Bytes of a package's list of patients.
_MAXIMUM_LIST = 2**28


class CaseCounts(BaseModel):
    """What became of a site's cases.

    Attributes:
        images: Images that the model scored.
        patients: Their patients.
        exams: Their exams.
        malignant_exams: Exams with a cancer.
        faults: Files and rows that cannot be read.
        left_out: Why images are not scored → how many: the model's policy of images, and labels
            that are unknown.
        unlike: How gray levels are unlike those of training images → number of images.
        unlike_images: Images that are.
        warnings: Code of a warning → number of images.
        fitted_patients: Patients who were left out because the model was fitted to them.
        unknown: Why there may be more of those, one sentence each.
        digest: SHA-256 over the ids and labels of the images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    patients: int
    exams: int
    malignant_exams: int
    faults: int
    left_out: dict[str, int]
    unlike: dict[str, int]
    unlike_images: int
    warnings: dict[str, int]
    fitted_patients: int
    unknown: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class ScoredCases:
    """A site's cases with their scores.

    Attributes:
        images: One row per scored image, with `COLUMNS`, sorted by image id. `unlike_training` and
            `warnings` hold codes, separated by blanks.
        counts: What became of all cases.
    """

    images: pd.DataFrame
    counts: CaseCounts


def read_cases(
    config: SourceConfig,
    package: Package,
    store: Store | None = None,
    progress: ProgressCall | None = None,
) -> SourceTables:
    """Read the table of a site's cases, by the policy of images of the model.

    Args:
        config: The site's cases.
        package: The model.
        store: The object store, whose forgotten patients are left out; None for none.
        progress: As for `sources.index`.

    Raises:
        SourceError: The table cannot be used.
        StoreError: A server failed.
    """
    tables = index(config, progress, policy=package.training_data.policy)
    return tables if store is None else leave_out_forgotten(store, tables)


def score_cases(
    tables: SourceTables,
    config: SourceConfig,
    opened: OpenedPackage,
    package: Package,
    advance: Callable[[int], None] = lambda count: None,
) -> ScoredCases:
    """Score the cases of a site as `mammo score` does, without patients that the model knows.

    Args:
        tables: The tables of the cases.
        config: Where they come from.
        opened: The package, opened.
        package: The package, loaded.
        advance: Called with the number of images after every batch.

    Raises:
        RecordError: No image could be scored.
        SourceError: A file changed since the tables were read.
        StoreError: A server failed.
        OSError: A disk failed.
    """
    fitted, unknown = fitted_patients(tables.images, opened)
    rows = tables.images[~tables.images["patient_key"].isin(fitted)]
    advance(len(tables.images) - len(rows))  # those that are left out are done
    scored: dict[str, dict[str, Any]] = {}
    left_out = tables.rejects[tables.rejects["kind"].isin(_CASE_KINDS)]  # not masks and lesions
    rejects = Counter(cause or "fault" for cause in left_out["cause"])
    for batch in scored_batches(package, rows, config.files(), advance):
        rejects.update(["not scored"] * len(batch.rejects))
        for unit, probability in batch.scores:
            for image in unit.images:
                scored[image.digest] = _case(unit, image, probability, package)
    if not scored:
        raise RecordError(
            "None of the site's images could be scored",
            expected="at least one image that the model takes, of a patient it was not fitted to",
            received=f"{len(tables.images)} images, {len(fitted)} patients whom it was fitted to; "
            f"left out: {dict(sorted(rejects.items())) or 'nothing'}",
            hint="`mammo sources check` shows what the table contains.",
        )
    names = ["image_id", "patient_key", "exam_key", "laterality", "view_id", "malignant"]
    images = rows[rows["image_id"].isin(set(scored))][names].rename(columns={"malignant": "label"})
    cells = pd.DataFrame.from_dict(scored, orient="index").reset_index(names="image_id")
    images = images.merge(cells, on="image_id").sort_values("image_id", ignore_index=True)
    images = images[list(COLUMNS)]
    return ScoredCases(images, _count(images, rejects, len(fitted), unknown))


def fitted_patients(
    images: pd.DataFrame, opened: OpenedPackage
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the patients that a model was fitted to, by the list in its package.

    Args:
        images: image_id, patient_key, source, manufacturer.
        opened: The package.

    Returns:
        Their keys; and why there may be more, one sentence each.
    """
    if PATIENTS not in opened.digests:
        return frozenset(), ("the package has no list of the patients it was fitted to",)
    try:
        data = read_bounded(opened.folder / PATIENTS, _MAXIMUM_LIST)
        listed = PatientList.model_validate_json(data)
    except ValueError:
        return frozenset(), ("the package's list of patients cannot be read",)
    unknown = list(listed.unknown)
    try:
        key = fingerprint(site_key())
    except SourceError:
        key = ""
    if listed.has_other_keys(key):
        unknown.append("the model's patients have keys of another site key")
    return listed.patients_in(images, FITTED_SPLITS), tuple(unknown)


def digest_of(images: pd.DataFrame) -> str:
    """Return the SHA-256 (hex) of the ids and labels of images.

    Args:
        images: image_id, label, sorted by image id.
    """
    lines = (f"{row.image_id}\t{row.label}\n" for row in images.itertuples())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _case(
    unit: ScoringUnit, image: DecodedImage, probability: float, package: Package
) -> dict[str, Any]:
    """The cells of an image that its score adds to its row."""
    domain = domain_warnings(image.facts, package.training_data, package.preprocessing)
    warnings = (*domain, *image.warnings, *unit.warnings(image))
    return {
        "probability": probability,
        "unlike_training": " ".join(dict.fromkeys(item.code for item in image.unlike)),
        "warnings": " ".join(dict.fromkeys(item.code for item in warnings)),
    }


def _count(
    images: pd.DataFrame, rejects: Counter[str], fitted: int, unknown: tuple[str, ...]
) -> CaseCounts:
    exams = images.groupby(["patient_key", "exam_key"])["label"].max()
    faults = rejects.pop("fault", 0)
    return CaseCounts(
        images=len(images),
        patients=int(images["patient_key"].nunique()),
        exams=len(exams),
        malignant_exams=int(exams.sum()),
        faults=faults,
        left_out=dict(sorted(rejects.items())),
        unlike=_codes(images["unlike_training"]),
        unlike_images=int((images["unlike_training"] != "").sum()),
        warnings=_codes(images["warnings"]),
        fitted_patients=fitted,
        unknown=unknown,
        digest=digest_of(images),
    )


def _codes(cells: "pd.Series[str]") -> dict[str, int]:
    return dict(sorted(Counter(code for cell in cells for code in cell.split()).items()))
