"""Labels corrected by hand: they stand, whatever the case tables go on saying."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from mammo_core.errors import RecordError, SourceError
from mammo_core.features import parts, stored_registry
from mammo_core.features.definitions import IMAGE_LABEL, LESION_ANNOTATION, LESION_LABEL
from mammo_core.store import Store

SOURCE, CORRECTION, LESIONS = "source", "correction", "lesions"
PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
_NAMED = 5


def read_labels(path: Path) -> pd.DataFrame:
    """Read a table of corrected labels.

    Args:
        path: CSV with a header. `lesion_id` and `pathology` correct a lesion, `image_id` and
            `malignant` (0 or 1) an image; a file may hold both kinds of rows, the other
            cells empty. Other columns are notes.

    Returns:
        kind (image|lesion), id, malignant (0 or 1), pathology (empty for images), one row for
        each correction.

    Raises:
        SourceError: The file cannot be read, or a row of it (named by its line).
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(
            f"The labels in {path} cannot be read",
            expected="a CSV file in UTF-8 with a header",
            received=" ".join(str(text or error).split()),
        ) from error
    table.columns = table.columns.str.strip()
    if not ({"image_id", "malignant"} <= set(table) or {"lesion_id", "pathology"} <= set(table)):
        raise SourceError(
            f"The labels in {path} lack columns",
            expected="image_id and malignant, or lesion_id and pathology, or all four",
            received=", ".join(map(str, table.columns)) or "none",
        )
    rows = [_row(path, line, told) for line, told in enumerate(table.to_dict("records"), start=2)]
    if not rows:
        raise SourceError(
            f"The labels in {path} are none", expected="at least one row", received="a header"
        )
    result = pd.DataFrame(rows).drop_duplicates(["kind", "id", "malignant", "pathology"])
    twice = result[result.duplicated(["kind", "id"])]
    if len(twice):
        raise SourceError(
            f"Line {twice['line'].iloc[0]} of {path} contradicts another line",
            expected="one label for each image or lesion",
            received=f"several for {twice['id'].iloc[0]}",
        )
    return result.drop(columns="line").reset_index(drop=True)


def _row(path: Path, line: int, told: dict[str, str]) -> dict[str, object]:
    cells = {name: str(told.get(name, "")).strip() for name in ("image_id", "lesion_id")}
    pathology = str(told.get("pathology", "")).strip().upper()
    malignant = str(told.get("malignant", "")).strip()
    where = f"Line {line} of {path} is no label"
    if cells["lesion_id"]:
        if pathology not in PATHOLOGIES:
            raise SourceError(
                where, expected=f"a pathology: {', '.join(PATHOLOGIES)}", received=repr(pathology)
            )
        value = int(pathology == "MALIGNANT")
        if malignant and malignant != str(value):
            raise SourceError(
                where,
                expected=f"malignant {value} for the pathology {pathology}, or nothing",
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
        raise SourceError(where, expected="an image_id or a lesion_id", received="neither")
    if malignant not in ("0", "1"):
        raise SourceError(where, expected="0 or 1 as malignant", received=repr(malignant))
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
    """Publish corrected labels: from now on they are the labels of those images and lesions.

    The image of a corrected lesion is malignant when any of its lesions is, unless a row
    says what the image is. Frames of earlier times stay as they were.

    Args:
        store: The object store.
        corrections: As `read_labels` returns them.
        folder: Folder of the feature store.
        at: Event time (UTC); default now.

    Returns:
        View → rows written: 0 for what was published before.

    Raises:
        RecordError: An image or lesion that the feature store does not know; an image told
            to be benign with a malignant lesion. Nothing is published then.
    """
    with stored_registry.leased(store, folder):
        images = parts.latest(store, folder, IMAGE_LABEL).set_index("image_id")
        lesions = parts.latest(store, folder, LESION_LABEL).set_index("lesion_id")
        annotated = parts.latest(store, folder, LESION_ANNOTATION).set_index("lesion_id")
        by_kind = {
            kind: corrections[corrections["kind"] == kind].set_index("id")
            for kind in ("image", "lesion")
        }
        _require_known(store, "image", by_kind["image"].index.difference(images.index), len(images))
        known = lesions.index.intersection(annotated.index)
        _require_known(store, "lesion", by_kind["lesion"].index.difference(known), len(known))

        told = by_kind["lesion"]
        lesions.loc[told.index, "pathology"] = told["pathology"]
        lesions.loc[told.index, "lesion_malignant"] = told["malignant"]
        lesions.loc[told.index, "label_origin"] = CORRECTION
        image_of = annotated["lesion_image_id"]
        worst = lesions["lesion_malignant"].astype(int).groupby(image_of).max()
        touched = set(image_of.loc[told.index]) & set(images.index)
        implied = pd.Index(sorted(touched - set(by_kind["image"].index)))
        images.loc[implied, "malignant"] = worst.reindex(implied)
        images.loc[implied, "label_origin"] = LESIONS
        told_images = by_kind["image"]
        images.loc[told_images.index, "malignant"] = told_images["malignant"]
        images.loc[told_images.index, "label_origin"] = CORRECTION
        changed = told_images.index.union(implied)
        _require_consistent(images.loc[changed], worst)
        now = at or datetime.now(UTC)
        return {
            IMAGE_LABEL.name: parts.append(
                store, folder, IMAGE_LABEL, images.loc[changed].reset_index(names="image_id"), now
            ),
            LESION_LABEL.name: parts.append(
                store, folder, LESION_LABEL, lesions.loc[told.index].reset_index(names="lesion_id"),
                now,
            ),
        }  # fmt: skip


def with_corrections(
    store: Store, folder: str, images: pd.DataFrame, lesions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels of the tables, those corrected by hand as they were corrected.

    Args:
        store: The object store.
        folder: Folder of the feature store.
        images: image_id, malignant, …
        lesions: lesion_id, lesion_image_id, pathology, lesion_malignant, …

    Returns:
        Both, with label_origin.
    """
    images, lesions = (table.assign(label_origin=SOURCE) for table in (images, lesions))
    known = parts.latest(store, folder, LESION_LABEL)
    fixed = known[known["label_origin"] == CORRECTION].set_index("lesion_id")
    for name in ("pathology", "lesion_malignant", "label_origin"):
        _overlay(lesions, "lesion_id", name, fixed[name])
    known = parts.latest(store, folder, IMAGE_LABEL)
    fixed = known[known["label_origin"].isin([CORRECTION, LESIONS])].set_index("image_id")
    implied = fixed.index[fixed["label_origin"] == LESIONS]
    worst = lesions.groupby("lesion_image_id")["lesion_malignant"].max()
    # Another lesion of the image may have changed in the tables since.
    fixed["malignant"] = worst.reindex(implied).reindex(fixed.index).fillna(fixed["malignant"])
    for name in ("malignant", "label_origin"):
        _overlay(images, "image_id", name, fixed[name])
    return images, lesions


def _overlay(table: pd.DataFrame, key: str, name: str, values: "pd.Series[object]") -> None:
    told = table[key].map(values)
    table[name] = told.where(told.notna(), table[name])


def _require_known(store: Store, kind: str, unknown: Sequence[str], known: int) -> None:
    if len(unknown):
        named = ", ".join(sorted(unknown)[:_NAMED]) + (" …" if len(unknown) > _NAMED else "")
        raise RecordError(
            f"A label is for an unknown {kind}: {named}",
            expected=f"the {kind}_id of one of the {known} {kind}s in {store.uri}",
            received=f"{len(unknown)} that the feature store does not know",
            hint=f"nothing was published; `mammo features show --rows {kind}_label` lists the ids",
        )


def _require_consistent(images: pd.DataFrame, worst: "pd.Series[int]") -> None:
    against = images[
        (images["malignant"].astype(int) == 0) & (worst.reindex(images.index).fillna(0) > 0)
    ]
    if len(against):
        raise RecordError(
            f"The image {against.index[0]} cannot be benign",
            expected="no malignant lesion in it",
            received="one that its annotation calls malignant",
            hint="correct the pathology of its lesions, in the same file; nothing was published",
        )
