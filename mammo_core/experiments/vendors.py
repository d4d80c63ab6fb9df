"""Vendor by vendor: models that were trained on images of some vendors, tested on each.

Rows are published evaluations, named by the vendors of their training images; columns are the
vendors of test images. Nothing is trained or scored here.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.evaluation.predictions import class_patients, widen_extreme
from mammo_core.features.frame import read_frame
from mammo_core.metrics import Interval, auc_interval
from mammo_core.reporting import Page, Table
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

_UNKNOWN: Final = "unknown"


class VendorCell(BaseModel):
    """A model on the test images of a vendor.

    Attributes:
        evaluation: Id of the evaluation.
        trained_on: Vendors of the training images, sorted.
        vendor: Vendor of the test images.
        n_images: Number of test images.
        n_malignant: Number of malignant ones.
        auc: AUC per image, with its interval by patient; None with one class or too few patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluation: str
    trained_on: tuple[str, ...]
    vendor: str
    n_images: int
    n_malignant: int
    auc: Interval | None

    @property
    def is_known(self) -> bool:
        """Whether the training had images of this vendor."""
        return self.vendor in self.trained_on


def vendor_matrix(
    store: Store, evaluations: Collection[str] = (), replicates: int = 2000, seed: int = 0
) -> list[VendorCell]:
    """Return the performance of models on the images of each vendor.

    Args:
        store: The object store.
        evaluations: Ids of evaluations; default: all that the store has and whose labels were not
            shuffled.
        replicates: Bootstrap replicates.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: An evaluation does not exist, or none has test images with a vendor.
    """
    ids = sorted(evaluations) or sorted(
        {key.split("/")[1] for key in store.list(f"{EVALUATION.folder}/")}
    )
    cells: list[VendorCell] = []
    for id in ids:
        manifest = EVALUATION.find(store, id)
        if manifest is None:
            if evaluations:
                raise RecordError(
                    f"There is no evaluation {id} in {store.uri}",
                    expected="the id of a published evaluation",
                    received=id,
                )
            continue
        if not evaluations and EVALUATION.facts_of(manifest).shuffled_labels:
            continue
        frame = read_frame(store, manifest.lineage["frame"])
        known = _vendors(frame.split("train"))
        test = read_table(store, manifest, "test.parquet")
        if "manufacturer" not in test.columns:
            continue
        for vendor, rows in test.groupby(test["manufacturer"].map(_name), sort=True):
            cells.append(_cell(id, known, str(vendor), rows, replicates, seed))
    if not cells:
        raise RecordError(
            f"No evaluation in {store.uri} says which vendors its test images are of",
            expected="evaluations whose images have a manufacturer",
            received=f"{len(ids)} evaluations",
        )
    return cells


def vendor_page(cells: Sequence[VendorCell]) -> str:
    """Return the matrix as a page: HTML that needs no other file.

    Args:
        cells: From `vendor_matrix`.
    """
    page = Page("Vendor by vendor", "Models by the vendors they were trained on, tested on each")
    vendors = sorted({cell.vendor for cell in cells})
    rows: dict[str, dict[str, object]] = {}
    for cell in cells:
        row = rows.setdefault(
            cell.evaluation,
            {"trained on": ", ".join(cell.trained_on), "evaluation": cell.evaluation[:12]},
        )
        mark = "" if cell.is_known else ", not in training"
        row[f"tested on {cell.vendor}"] = f"{cell.auc or '–'}\n{cell.n_images:,} images{mark}"
    columns = ["trained on", "evaluation", *(f"tested on {vendor}" for vendor in vendors)]
    page.section("AUC per image", "Intervals: 95 %, bootstrap by patient.")
    page.table(Table.from_records(rows.values(), columns))
    unknown = [cell for cell in cells if not cell.is_known and cell.auc is not None]
    if unknown:
        worst = min(unknown, key=lambda cell: cell.auc.value if cell.auc else 1.0)
        page.text(
            f"Lowest on a vendor that the training had no images of: {worst.auc}, trained on "
            f"{', '.join(worst.trained_on)}, tested on {worst.vendor}. Models in one column were "
            "tested on different patients where their splits differ."
        )
    return page.html()


def _cell(
    id: str, known: tuple[str, ...], vendor: str, rows: "pd.DataFrame", replicates: int, seed: int
) -> VendorCell:
    rows = rows.sort_values("image_id")
    labels = rows["label"].to_numpy()
    auc: Interval | None = None
    if 0 < labels.sum() < len(labels):
        try:
            auc = widen_extreme(
                auc_interval(labels, rows["probability"], rows["patient_key"], replicates, seed),
                min(class_patients(rows)),
            )
        except RecordError:
            auc = None  # too few patients: the numbers say so
    return VendorCell(
        evaluation=id,
        trained_on=known,
        vendor=vendor,
        n_images=len(rows),
        n_malignant=int(labels.sum()),
        auc=auc,
    )


def _vendors(rows: "pd.DataFrame") -> tuple[str, ...]:
    return tuple(sorted(set(rows["manufacturer"].map(_name))))


def _name(value: object) -> str:
    return str(value) if isinstance(value, str) and value else _UNKNOWN
