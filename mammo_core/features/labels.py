"""Corrected labels: they replace the labels of the case tables, until corrected again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from mammo_core.documents import read_bounded
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import stored_registry, view_files
from mammo_core.features.definitions import IMAGE_LABEL, LESION_ANNOTATION, LESION_LABEL
from mammo_core.sources.csv_table import parse_csv
from mammo_core.store import Store

SOURCE, CORRECTION, LESIONS = "source", "correction", "lesions"
PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
_LISTED = 5
_MAXIMUM_BYTES = 2**24


def read_labels(path: Path) -> pd.DataFrame:
    """Read a table of corrected labels.

    Args:
        path: CSV with a header. `lesion_id` and `pathology` correct a lesion, `image_id` and
            `malignant` (0 or 1) an image; a file may have both kinds of rows, with the other
            cells empty. Other columns are ignored.

    Returns:
        kind (image|lesion), id, malignant (0 or 1), pathology (empty for images): one row per
        correction.

    Raises:
        SourceError: The file or one of its lines cannot be used.
    """
    try:
        table = parse_csv(read_bounded(path, _MAXIMUM_BYTES).decode("utf-8-sig"), path.name)
    except (OSError, ValueError, SourceError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(
            f"The label file {path} cannot be read",
            expected="a CSV file in UTF-8 with a header",
            received=" ".join(str(text or error).split()),
        ) from error
    names = set(table.columns)
    if not ({"image_id", "malignant"} <= names or {"lesion_id", "pathology"} <= names):
        raise SourceError(
            f"The label file {path} lacks columns",
            expected="image_id and malignant, or lesion_id and pathology, or all four",
            received=", ".join(table.columns)[:200] or "none",
        )
    for line, cells in table.rows:
        if len(cells) != len(table.columns):
            raise SourceError(
                f"Line {line} of {path} is not a label",
                expected=f"{len(table.columns)} cells, as in the header",
                received=f"{len(cells)}",
            )
    rows = [
        _row(path, line, dict(zip(table.columns, cells, strict=True))) for line, cells in table.rows
    ]
    if not rows:
        raise SourceError(
            f"The label file {path} is empty",
            expected="at least one row below the header",
            received="only the header",
        )
    result = pd.DataFrame(rows).drop_duplicates(["kind", "id", "malignant", "pathology"])
    conflicts = result[result.duplicated(["kind", "id"])]
    if len(conflicts):
        raise SourceError(
            f"Line {conflicts['line'].iloc[0]} of {path} contradicts another line",
            expected="one label per image or lesion",
            received=f"several for {conflicts['id'].iloc[0]}",
        )
    return result.drop(columns="line").reset_index(drop=True)


def _row(path: Path, line: int, row: dict[str, str]) -> dict[str, object]:
    cells = {name: str(row.get(name, "")).strip() for name in ("image_id", "lesion_id")}
    pathology = str(row.get("pathology", "")).strip().upper()
    malignant = str(row.get("malignant", "")).strip()
    problem = f"Line {line} of {path} is not a label"
    if cells["lesion_id"]:
        if pathology not in PATHOLOGIES:
            raise SourceError(
                problem, expected=f"a pathology: {', '.join(PATHOLOGIES)}", received=repr(pathology)
            )
        value = int(pathology == "MALIGNANT")
        if malignant and malignant != str(value):
            raise SourceError(
                problem,
                expected=f"malignant {value} for the pathology {pathology}, or an empty cell",
                received=repr(malignant),
            )
        return {
            "kind": "lesion",
            "id": cells["lesion_id"],
            "malignant": value,
            "pathology": pathology,
            "line": line,
        }
    if not cells["image_id"]:
        raise SourceError(problem, expected="an image_id or a lesion_id", received="neither")
    if malignant not in ("0", "1"):
        raise SourceError(problem, expected="0 or 1 as malignant", received=repr(malignant))
    return {
        "kind": "image",
        "id": cells["image_id"],
        "malignant": int(malignant),
        "pathology": "",
        "line": line,
    }


def publish_labels(
    store: Store, corrections: pd.DataFrame, folder: str, at: datetime | None = None
) -> dict[str, int]:
    """Publish corrected labels of images and lesions, valid from now on.

    The image of a corrected lesion is malignant if any of its lesions is, unless a row
    corrects the image itself. Frames of earlier times do not change.

    Args:
        store: The object store.
        corrections: As `read_labels` returns them.
        folder: Folder of the feature store.
        at: Event time (UTC); default now.

    Returns:
        Feature view → rows written; rows that are already published are not written again.

    Raises:
        RecordError: An image or lesion is not in the feature store, or an image with a
            malignant lesion is corrected to benign. Nothing is published then.
    """
    with stored_registry.leased(store, folder):
        images = view_files.latest_rows(store, folder, IMAGE_LABEL).set_index("image_id")
        lesions = view_files.latest_rows(store, folder, LESION_LABEL).set_index("lesion_id")
        annotated = view_files.latest_rows(store, folder, LESION_ANNOTATION).set_index("lesion_id")
        by_kind = {
            kind: corrections[corrections["kind"] == kind].set_index("id")
            for kind in ("image", "lesion")
        }
        _require_known(store, "image", by_kind["image"].index.difference(images.index), len(images))
        lesion_ids = lesions.index.intersection(annotated.index)
        unknown = by_kind["lesion"].index.difference(lesion_ids)
        _require_known(store, "lesion", unknown, len(lesion_ids))

        corrected_lesions = by_kind["lesion"]
        lesions.loc[corrected_lesions.index, "pathology"] = corrected_lesions["pathology"]
        lesions.loc[corrected_lesions.index, "lesion_malignant"] = corrected_lesions["malignant"]
        lesions.loc[corrected_lesions.index, "label_origin"] = CORRECTION
        image_of = annotated["lesion_image_id"]
        any_malignant = lesions["lesion_malignant"].astype(int).groupby(image_of).max()
        affected = set(image_of.loc[corrected_lesions.index]) & set(images.index)
        derived = pd.Index(sorted(affected - set(by_kind["image"].index)))
        images.loc[derived, "malignant"] = any_malignant.reindex(derived)
        images.loc[derived, "label_origin"] = LESIONS
        corrected_images = by_kind["image"]
        images.loc[corrected_images.index, "malignant"] = corrected_images["malignant"]
        images.loc[corrected_images.index, "label_origin"] = CORRECTION
        changed = corrected_images.index.union(derived)
        _require_consistent(images.loc[changed], any_malignant)
        now = at or datetime.now(UTC)
        return {
            IMAGE_LABEL.name: view_files.append_rows(
                store, folder, IMAGE_LABEL, images.loc[changed].reset_index(names="image_id"), now
            ),
            LESION_LABEL.name: view_files.append_rows(
                store,
                folder,
                LESION_LABEL,
                lesions.loc[corrected_lesions.index].reset_index(names="lesion_id"),
                now,
            ),
        }


def with_corrections(
    store: Store, folder: str, images: pd.DataFrame, lesions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels of the tables, with the published corrections.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        images: image_id, malignant, …
        lesions: lesion_id, lesion_image_id, pathology, lesion_malignant, …

    Returns:
        Both tables, with label_origin.
    """
    images, lesions = (table.assign(label_origin=SOURCE) for table in (images, lesions))
    rows = view_files.latest_rows(store, folder, LESION_LABEL)
    corrected = rows[rows["label_origin"] == CORRECTION].set_index("lesion_id")
    for name in ("pathology", "lesion_malignant", "label_origin"):
        _overlay(lesions, "lesion_id", name, corrected[name])
    rows = view_files.latest_rows(store, folder, IMAGE_LABEL)
    corrected = rows[rows["label_origin"].isin([CORRECTION, LESIONS])].set_index("image_id")
    derived = corrected.index[corrected["label_origin"] == LESIONS]
    any_malignant = lesions.groupby("lesion_image_id")["lesion_malignant"].max()
    # Another lesion of the image may have changed in the tables since the correction.
    current = any_malignant.reindex(derived).reindex(corrected.index)
    corrected["malignant"] = current.fillna(corrected["malignant"])
    for name in ("malignant", "label_origin"):
        _overlay(images, "image_id", name, corrected[name])
    return images, lesions


def _overlay(table: pd.DataFrame, key: str, name: str, values: "pd.Series[object]") -> None:
    """Replace a column's values where there is a value for the key."""
    mapped = table[key].map(values)
    table[name] = mapped.where(mapped.notna(), table[name])


def _require_known(store: Store, kind: str, unknown: Sequence[str], total: int) -> None:
    if len(unknown):
        listed = ", ".join(sorted(unknown)[:_LISTED]) + (" …" if len(unknown) > _LISTED else "")
        raise RecordError(
            f"A label is for an unknown {kind}: {listed}",
            expected=f"the {kind}_id of one of the {total} {kind}s in {store.uri}",
            received=f"{len(unknown)} ids that are not in the feature store",
            hint=f"nothing was published; `mammo features show --rows {kind}_label` lists the ids",
        )


def _require_consistent(images: pd.DataFrame, any_malignant: "pd.Series[int]") -> None:
    conflicts = images[
        (images["malignant"].astype(int) == 0) & (any_malignant.reindex(images.index).fillna(0) > 0)
    ]
    if len(conflicts):
        raise RecordError(
            f"The image {conflicts.index[0]} cannot be benign",
            expected="an image without a malignant lesion",
            received="an image with a lesion that is annotated as malignant",
            hint="correct the pathology of its lesions in the same file; nothing was published",
        )
