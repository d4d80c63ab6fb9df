"""The HTML report of a data validation."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.features.config import ValidationConfig
from mammo_core.features.data_checks.validation import INTENSITIES, ValidationResult, validate
from mammo_core.features.frame import SPLITS, Frame, frame_from_manifest
from mammo_core.features.kinds import VALIDATION, VALIDATION_PAGE, ValidationFacts
from mammo_core.reporting import Page, Table
from mammo_core.reporting.figures import BLUE, GRAY, ORANGE, figure, png, style

_BINS = 40


def draft_validation(
    attempt: Attempt,
    id: str,
    config: ValidationConfig,
    *,
    frame: Manifest,
    images: Manifest,
    champion: Frame | None,
    no_champion_reason: str,
    same_conversion: bool,
    title: str,
) -> Draft:
    """Compare a new frame with the champion's, and write the result and its page.

    Args:
        attempt: The attempt that writes them.
        id: Content address of the validation.
        config: The limits.
        frame: The new frame.
        images: Its image records.
        champion: The champion's frame; None if there is none.
        no_champion_reason: Why there is none; empty if there is one.
        same_conversion: Whether the champion's records were converted like the new ones.
        title: Title of the page.

    Raises:
        StoreError: The store fails.
    """
    # What is held out on purpose may differ from the champion's data.
    new = frame_from_manifest(attempt.store, frame).without_external()
    champion = champion.without_external() if champion is not None else None
    result = validate(
        new,
        champion,
        config,
        no_champion_reason=no_champion_reason,
        same_conversion=same_conversion,
    )
    page = validation_page(result, new, champion, title)
    folder = attempt.folder(VALIDATION.output(id))
    data = json.dumps(asdict(result), sort_keys=True, indent=1).encode()
    files = (
        put_bytes(attempt.store, folder, VALIDATION_PAGE, page.encode()),
        put_bytes(attempt.store, folder, "validation.json", data),
    )
    notes = tuple(issue.text for issue in result.issues if issue.level == "note")
    return Draft(
        VALIDATION.manifest(
            id,
            config=config.model_dump(mode="json"),
            files=files,
            counts=result.counts,
            facts=ValidationFacts(
                passed=result.passed, failures=tuple(result.failures), notes=notes
            ),
            lineage={
                "frame": frame.id,
                "images": images.id,
                "champion_frame": result.champion_frame_id,
            },
        ),
    )


def validation_page(
    result: ValidationResult, frame: Frame, champion: Frame | None, title: str = "Data validation"
) -> str:
    """Return the HTML page with the outcome of every check, and the data compared.

    Args:
        result: The result of `validate` for these frames.
        frame: The new frame.
        champion: The champion's frame; None if there is none.
        title: Title of the page.
    """
    failed = len(result.failures)
    verdict = "passed" if result.passed else f"failed: {failed} of {len(result.issues)} checks"
    page = Page(title, f"Data validation {verdict}.")
    page.section("Checks").facts(
        {"Frame": frame.id, "Champion's frame": result.champion_frame_id or "none"}
    )
    page.numbers({name.replace("_", " "): (n, "") for name, n in result.counts.items()})
    page.table(
        Table.from_records(
            [
                {
                    "outcome": issue.level,
                    "check": issue.check.replace("_", " "),
                    "measured": issue.value,
                    "limit": issue.limit,
                    "details": issue.text,
                }
                for issue in result.issues
            ]
        )
    )
    named = {"champion's frame": champion, "new frame": frame}
    frames = {name: data for name, data in named.items() if data is not None}
    images = {name: data.images for name, data in frames.items()}
    page.section("Images")
    for column in ("manufacturer", "bits_stored", "source", "view", "laterality", "label"):
        page.table(_fractions(column, images))
    page.table(
        Table.from_records(
            [
                {"frame": name, "split": split, **data.facts.splits[split]}
                for name, data in frames.items()
                if data.facts.splits
                for split in SPLITS
            ]
        )
    )
    if champion is not None:
        old_ids = set(champion.images["image_id"])
        images["new images"] = frame.images[~frame.images["image_id"].isin(old_ids)]
        page.section("Gray levels", "Of the image records, 0 to 65535.")
        for column in INTENSITIES:
            if all(column in table for table in images.values()):
                name = column.removeprefix("intensity_").replace("_", " ")
                page.figure(_distributions(column, images), f"{name} by image", wide=False)
    return page.html()


def _fractions(column: str, images: Mapping[str, pd.DataFrame]) -> Table:
    counts = {
        name: table[column].value_counts() for name, table in images.items() if column in table
    }
    values = sorted({value for series in counts.values() for value in series.index}, key=str)
    rows = []
    for value in values:
        row: dict[str, object] = {column.replace("_", " "): str(value)}
        for name, series in counts.items():
            row[name] = int(series.get(value, 0))
            row[f"% of {name}"] = f"{series.get(value, 0) / max(series.sum(), 1):.1%}"
        rows.append(row)
    return Table.from_records(rows, None if rows else [column])


def _distributions(column: str, images: Mapping[str, pd.DataFrame]) -> bytes:
    plot = figure(5.2, 3.0)
    axes = plot.add_subplot()
    name = column.removeprefix("intensity_").replace("_", " ")
    style(axes, name.capitalize(), "gray levels", "fraction of images")
    values = [table[column].to_numpy(dtype=float) for table in images.values()]
    edges = np.histogram_bin_edges(np.concatenate(values), _BINS)
    for color, name, data in zip((GRAY, BLUE, ORANGE), images, values, strict=False):
        if len(data):
            weights = np.full(len(data), 1 / len(data))
            axes.hist(
                data,
                list(edges),
                weights=weights,
                histtype="step",
                color=color,
                linewidth=1.6,
                label=f"{name} ({len(data):,})",
            )
    axes.legend(fontsize=7, frameon=False)
    return png(plot)
