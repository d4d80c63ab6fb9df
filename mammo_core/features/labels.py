"""Corrected labels: they replace the labels of the case tables, until corrected again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from mammo_core.documents import read_bounded
from mammo_core.errors import RecordError, SourceError
from mammo_core.features import stored_registry, view_files
from mammo_core.features.definitions import IMAGE_LABEL, LESION_ANNOTATION, LESION_LABEL
from mammo_core.sources.tables.csv_table import parse_csv
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

    The image of a corrected lesion is malignant if any of its lesions is, unless the image itself
    was corrected, by a row or at any time before: that stands until another correction of the
    image. Frames of earlier times do not change.

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
        by_hand = set(_corrected_images(store, folder).index)
        derived = pd.Index(sorted(affected - set(by_kind["image"].index) - by_hand))
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
    lesions = lesions.assign(label_origin=SOURCE)
    stated = images.get("label_origin", pd.Series("", images.index))
    images = images.assign(label_origin=stated.replace("", SOURCE))
    rows = view_files.latest_rows(store, folder, LESION_LABEL)
    corrected = rows[rows["label_origin"] == CORRECTION].set_index("lesion_id")
    for name in ("pathology", "lesion_malignant", "label_origin"):
        _overlay(lesions, "lesion_id", name, corrected[name])
    rows = view_files.latest_rows(store, folder, IMAGE_LABEL)
    derived = rows[rows["label_origin"] == LESIONS].set_index("image_id")["malignant"]
    # Another lesion of the image may have changed in the tables since the correction; and an image
    # may be published later than the correction of its lesion.
    any_malignant = lesions.groupby("lesion_image_id")["lesion_malignant"].max()
    of_corrected = lesions.loc[lesions["label_origin"] == CORRECTION, "lesion_image_id"]
    ids = derived.index.union(pd.Index(of_corrected.unique()))
    derived = any_malignant.reindex(ids).fillna(derived.reindex(ids))
    by_hand = _corrected_images(store, folder)
    for labels, origin in ((derived, LESIONS), (by_hand, CORRECTION)):
        _overlay(images, "image_id", "malignant", labels)
        _overlay(images, "image_id", "label_origin", pd.Series(origin, labels.index))
    return images, lesions


def standing_corrections(store: Store, corrections: pd.DataFrame, folder: str) -> int:
    """Return how many images keep a correction of their own, although a lesion is corrected.

    Args:
        store: The object store.
        corrections: As `read_labels` returns them.
        folder: Folder of the feature store.
    """
    annotated = view_files.latest_rows(store, folder, LESION_ANNOTATION)
    lesions = set(corrections.loc[corrections["kind"] == "lesion", "id"])
    images = set(annotated.loc[annotated["lesion_id"].isin(lesions), "lesion_image_id"])
    image_ids = set(corrections.loc[corrections["kind"] == "image", "id"])
    return len(images & set(_corrected_images(store, folder).index) - image_ids)


def label_history(store: Store, folder: str, id: str) -> pd.DataFrame:
    """Return every label that an image or a lesion has had, oldest first.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        id: Id of an image, with the history of its lesions, or of a lesion.

    Returns:
        time (UTC), kind (image or lesion), id, malignant, pathology, origin.

    Raises:
        RecordError: There is no label of such an image or lesion.
    """
    images = view_files.read_rows(store, folder, IMAGE_LABEL)
    lesions = view_files.read_rows(store, folder, LESION_LABEL)
    annotated = view_files.latest_rows(store, folder, LESION_ANNOTATION)
    of_image = set(annotated.loc[annotated["lesion_image_id"] == id, "lesion_id"])
    images = images[images["image_id"] == id].assign(kind="image", pathology="")
    lesions = lesions[lesions["lesion_id"].isin({*of_image, id})].assign(kind="lesion")
    names = {"image_id": "id", "lesion_id": "id", "lesion_malignant": "malignant"}
    tables = [table.rename(columns=names) for table in (images, lesions) if len(table)]
    if not tables:
        raise RecordError(
            f"There is no label of {id}",
            expected="the id of an image or lesion in the feature store",
            received="an unknown id",
            hint="`mammo features show --rows image_label` lists the ids",
        )
    rows = pd.concat(tables).sort_values([*view_files.TIMES, "kind", "id"], kind="stable")
    rows = rows.rename(columns={"event_timestamp": "time", "label_origin": "origin"})
    rows["origin"] = rows["origin"].replace("", SOURCE)
    columns = ["time", "kind", "id", "malignant", "pathology", "origin"]
    return rows[columns].reset_index(drop=True)


def _corrected_images(store: Store, folder: str) -> "pd.Series[int]":
    """Image → the label of its last correction by hand, whatever was published since."""
    rows = view_files.read_rows(store, folder, IMAGE_LABEL)
    rows = rows[rows["label_origin"] == CORRECTION].sort_values(view_files.TIMES, kind="stable")
    last = rows.drop_duplicates("image_id", keep="last").set_index("image_id")
    return last["malignant"].astype(int)


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
