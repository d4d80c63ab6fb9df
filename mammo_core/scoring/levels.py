"""From scored images to breasts and patients."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mammo_core.evaluation.aggregate import Level, at_level
from mammo_core.scoring.members import Members, reading


def named_patients(
    rows: Iterable[dict[str, Any]], known: dict[str, str], numbered: bool
) -> Iterator[dict[str, Any]]:
    """Replace keys of no meaning by numbers in the order of first appearance.

    Args:
        rows: Of images, in order.
        known: Key → number so far; filled up.
        numbered: Whether to; a site's own keys stay.
    """
    for row in rows:
        key = row["patient"]
        if numbered and len(key) == 20:  # published pseudonyms are shorter
            row["patient"] = known.setdefault(key, f"patient-{len(known) + 1}")
        yield row


def breasts(members: Members, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Aggregate scored images to breasts, as the package's rules say."""
    return _level(members, rows, "breast", ["patient_key", "laterality"])


def patients(members: Members, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Aggregate scored images to patients, as the package's rules say."""
    return _level(members, rows, "patient", ["patient_key"])


def _level(
    members: Members, rows: Iterable[Mapping[str, Any]], level: Level, keys: list[str]
) -> list[dict[str, Any]]:
    import pandas as pd

    images = pd.DataFrame([_known(row) for row in rows if row["patient"] and row["laterality"]])
    if images.empty:
        return []
    aggregation = members.packages[0].rules.aggregation
    scores = []
    for place in range(len(members.packages)):
        mine = images.assign(probability=[told[place] for told in images["scores"]])
        table = at_level(mine, level, aggregation)
        scores.append(table["probability"].to_numpy())
    grouped = images.groupby(keys, sort=True)
    counts = grouped.agg(
        images=("view_id", "size"), views=("view_id", "nunique"), breasts=("laterality", "nunique")
    ).reset_index()
    probabilities, calibrated = members.combine(scores), members.calibrate(level, scores)
    point = members.decision_point(level)
    return [
        {
            "patient": told.patient_key,
            **(
                {"laterality": told.laterality, "views": int(told.views)}
                if level == "breast"
                else {"breasts": int(told.breasts)}
            ),
            "images": int(told.images),
            "model_id": members.model_id,
            **reading(point, float(probability), float(sure)),
        }
        for told, probability, sure in zip(
            counts.itertuples(), probabilities, calibrated, strict=True
        )
    ]


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    view = row["view"] or row["id"]  # a view nobody knows is one of its own
    return {
        "patient_key": row["patient"],
        "laterality": row["laterality"],
        "view_id": f"{row['patient']}_{row['laterality']}_{view}",
        "scores": row["scores"],
    }
