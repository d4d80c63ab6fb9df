"""The HTML page of a validation."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mammo_core.features.frame import SPLITS, Frame
from mammo_core.features.validation import INTENSITIES, ValidationResult
from mammo_core.reporting import Page, Table
from mammo_core.reporting.figures import BLUE, GRAY, ORANGE, figure, png, style

_BINS = 40


def validation_page(
    result: ValidationResult, frame: Frame, champion: Frame | None, title: str = "Data validation"
) -> str:
    """Return the page that shows what was compared and what was found.

    Args:
        result: What `validate` returned for these frames.
        frame: The new frame.
        champion: The champion's; None when there is none.
        title: Of the page.
    """
    failed = len(result.failures)
    verdict = "passed" if result.passed else f"failed: {failed} of {len(result.findings)} checks"
    page = Page(title, f"Data validation {verdict}.")
    page.section("Findings").facts(
        {"Frame": frame.id, "Champion's frame": result.champion_frame_id or "none"}
    )
    page.numbers({name.replace("_", " "): (n, "") for name, n in result.counts.items()})
    page.table(
        Table.from_records(
            [
                {
                    "outcome": finding.level,
                    "check": finding.check.replace("_", " "),
                    "measured": finding.value,
                    "limit": finding.limit,
                    "found": finding.text,
                }
                for finding in result.findings
            ]
        )
    )
    sides = {"champion's frame": champion, "new frame": frame}
    told = {name: side.images for name, side in sides.items() if side is not None}
    page.section("Images")
    for column in ("manufacturer", "bits_stored", "source", "view", "laterality", "label"):
        page.table(_shares(column, told))
    page.table(
        Table.from_records(
            [
                {"frame": name, "split": split, **side.facts["splits"][split]}
                for name, side in sides.items()
                if side is not None and "splits" in side.facts
                for split in SPLITS
            ]
        )
    )
    if champion is not None:
        known = set(champion.images["image_id"])
        told["new images"] = frame.images[~frame.images["image_id"].isin(known)]
        page.section("Gray levels", "Of the image records, 0 to 65535.")
        for column in INTENSITIES:
            if all(column in images for images in told.values()):
                name = column.removeprefix("intensity_").replace("_", " ")
                page.figure(_distributions(column, told), f"{name} by image", wide=False)
    return page.html()


def _shares(column: str, told: Mapping[str, pd.DataFrame]) -> Table:
    counts = {
        name: images[column].value_counts() for name, images in told.items() if column in images
    }
    values = sorted({value for own in counts.values() for value in own.index}, key=str)
    rows = []
    for value in values:
        row: dict[str, object] = {column.replace("_", " "): str(value)}
        for name, own in counts.items():
            row[name] = int(own.get(value, 0))
            row[f"% of {name}"] = f"{own.get(value, 0) / max(own.sum(), 1):.1%}"
        rows.append(row)
    return Table.from_records(rows, None if rows else [column])


def _distributions(column: str, told: Mapping[str, pd.DataFrame]) -> bytes:
    drawn = figure(5.2, 3.0)
    axes = drawn.add_subplot()
    name = column.removeprefix("intensity_").replace("_", " ")
    style(axes, name.capitalize(), "gray levels", "share of images")
    values = [images[column].to_numpy(dtype=float) for images in told.values()]
    edges = np.histogram_bin_edges(np.concatenate(values), _BINS)
    for colour, label, own in zip((GRAY, BLUE, ORANGE), told, values, strict=False):
        if len(own):
            weights = np.full(len(own), 1 / len(own))
            axes.hist(
                own, list(edges), weights=weights, histtype="step", color=colour, linewidth=1.6,
                label=f"{label} ({len(own):,})",
            )  # fmt: skip
    axes.legend(fontsize=7, frameon=False)
    return png(drawn)
