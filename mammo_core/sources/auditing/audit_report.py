"""The audit of a source as one HTML page: its content, its irregularities, sample images."""

import base64
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from mammo_core.reporting import Page, Table, contact_sheet
from mammo_core.sources.auditing.audit import audit
from mammo_core.sources.auditing.implausible_images import ImplausibleImage
from mammo_core.sources.files.file_inspection import (
    SHOWN_PER_GROUP,
    FileInspection,
    Thumbnail,
    shown_groups,
    split_names,
    used_splits,
)
from mammo_core.sources.splitting.splits import SplitResult, official_splits

_SHEET: Final = TypeAdapter(str)


def audit_page(
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    rejects: pd.DataFrame,
    inspection: FileInspection,
    *,
    source: str,
    split: SplitResult | None = None,
    warnings: Sequence[Mapping[str, str]] = (),
    implausible: Sequence[ImplausibleImage] = (),
) -> str:
    """Return the audit as HTML.

    Args:
        images: Table of images of a source.
        lesions: Table of its lesions.
        rejects: Table of its rejects.
        inspection: What the files show.
        source: Name of the adapter.
        split: The split of each image; None takes the official split.
        warnings: What the adapter warns of: code, message.
        implausible: Images whose gray levels the policy rejects or warns of.
    """
    counts = audit(images, lesions, rejects, split)
    splits = split_names(images, split)
    duplicates = inspection.duplicates()
    page = Page(
        "Audit of the source", f"Adapter {source}. Counts are of images unless stated otherwise."
    )
    page.section("At a glance")
    page.numbers(
        {
            "Images": (counts["images"], f"of {counts['views']:,} views"),
            "Patients": (
                counts["patients"],
                f"{_malignant_patients(images):,} with a malignant lesion",
            ),
            "Lesions": (counts["lesions"], "with a mask"),
            "Leaking patients": (len(counts["leaking_patients"]), "in both official splits"),
            "Duplicates": (
                sum(map(len, duplicates)) if inspection.compared else None,
                "images with another's pixels" if inspection.compared else "not compared",
            ),
            "Implausible": (len(implausible), "images whose gray levels no mammogram has"),
            "Rejects": (int((rejects["cause"] == "").sum()), "rows, images and lesions"),
            "Left out": (int((rejects["cause"] != "").sum()), "images, by the recipe"),
        }
    )
    for warning in warnings:
        page.text(f"Warning: {warning['message']}")
    _add_content(page, images, lesions, splits, inspection)
    _add_leaks(page, images)
    _add_duplicates(page, images, splits, inspection, duplicates)
    _add_gray_levels(page, inspection, implausible)
    _add_rejects(page, images, rejects, inspection)
    _add_contact_sheet(page, images, inspection, split)
    return page.html()


def _malignant_patients(images: pd.DataFrame) -> int:
    return int(images.loc[images["malignant"] == 1, "patient_key"].nunique())


def _add_content(
    page: Page,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    splits: pd.Series,
    inspection: FileInspection,
) -> None:
    page.section("Content", "By split, as in the tables of the source.")
    names = used_splits(splits)
    rows = []
    for name in [*names, "all"]:
        members = images if name == "all" else images[splits == name]
        views = members.groupby("view_id")["malignant"].max()
        rows.append(
            {
                "split": name,
                "images": len(members),
                "views": len(views),
                "malignant views": int(views.sum()),
                "patients": int(members["patient_key"].nunique()),
                "malignant patients": _malignant_patients(members),
                "lesions": int(lesions["image_id"].isin(members["image_id"]).sum()),
            }
        )
    page.table(Table.from_records(rows))
    spacing = images["image_id"].map(inspection.spacing).fillna("unknown")
    for title, values in (
        ("label", images["malignant"].map({1: "malignant", 0: "not malignant"})),
        ("lesion type", images["lesion_types"].replace("", "none")),
        ("view", images["view"].replace("", "unknown")),
        ("view modifier", images["view_modifiers"].replace("", "none")),
        ("image type", images["image_type"].replace("", "unknown")),
        ("laterality", images["laterality"]),
        ("breast density", images["breast_density"].replace(0, "unknown")),
        ("manufacturer", images["manufacturer"]),
        ("bit depth", images["bits_stored"]),
        ("pixel spacing", spacing),
    ):
        page.table(_cross_table(title, values, splits, names))
    by_image = dict(zip(images["image_id"], splits, strict=True))
    lesion_splits = lesions["image_id"].map(by_image)
    for title, column in (
        ("lesions by type", "lesion_type"),
        ("lesions by pathology", "pathology"),
    ):
        page.table(_cross_table(title, lesions[column], lesion_splits, names))


def _cross_table(title: str, values: pd.Series, splits: pd.Series, names: Iterable[str]) -> Table:
    texts = values.astype(str)
    counts = Counter(texts.groupby([texts, splits.astype(str)], sort=False).size().to_dict())
    rows = [
        {
            title: value,
            **{name: counts[value, name] for name in names},
            "all": sum(counts[value, name] for name in names),
        }
        for value in sorted({value for value, _ in counts})
    ]
    return Table.from_records(rows, [title, *names, "all"], limit=40)


def _add_leaks(page: Page, images: pd.DataFrame) -> None:
    splits = official_splits(images)
    leaking = sorted(key for key, names in splits.items() if len(names) > 1)
    if not leaking:
        page.section("Leaks", "No patient is in both official splits.")
        return
    page.section(
        "Leaks",
        f"{len(leaking)} patients are in both official splits. A model tested on them was trained "
        "on their breasts: choose a split without them (split.name).",
    )
    members = images[images["patient_key"].isin(leaking)]
    rows = [
        {
            "patient": key,
            **{
                f"{split} views": ", ".join(
                    sorted(set(rows.loc[rows["official_splits"].str.contains(split), "view_id"]))
                )
                for split in ("train", "test")
            },
        }
        for key, rows in members.groupby("patient_key")
    ]
    page.table(Table.from_records(rows, limit=60))


def _add_duplicates(
    page: Page,
    images: pd.DataFrame,
    splits: pd.Series,
    inspection: FileInspection,
    groups: list[list[str]],
) -> None:
    if not inspection.compared:
        page.section(
            "Duplicates",
            "Not compared: the files are in a bucket, and every one would have to be fetched.",
        )
        return
    page.section(
        "Duplicates",
        f"{len(inspection.pixel_sha256):,} of {len(images):,} images share their size with "
        "another one; their decoded pixels were compared. "
        + ("Images with equal pixels in different files:" if groups else "No two are equal."),
    )
    compared = images["image_id"].isin({image_id for group in groups for image_id in group})
    by_id = images[compared].assign(split=splits).set_index("image_id")
    rows = []
    for number, group in enumerate(groups, 1):
        members = by_id.loc[group]
        across = [
            word
            for word, column in (("patients", "patient_key"), ("splits", "split"))
            if members[column].nunique() > 1
        ]
        rows += [
            {
                "group": str(number),
                "file": _short(row.path),
                "view": row.view_id,
                "split": row.split,
                "across": " and ".join(across),
            }
            for row in members.itertuples()
        ]
    if rows:
        page.table(Table.from_records(rows))


def _add_gray_levels(
    page: Page, inspection: FileInspection, implausible: Sequence[ImplausibleImage]
) -> None:
    measured = f"{len(inspection.measured):,} images were measured. "
    if not inspection.compared:
        measured += "The others are in a bucket: convert measures them. "
    if not implausible:
        page.section("Gray levels", f"{measured}All of them are plausible.")
        return
    page.section("Gray levels", f"{measured}These cannot be those of a mammogram:")
    rows = [
        {
            "file": _short(item.path),
            "fault": item.fault.code,
            "policy": item.action,
            "measure": item.fault.measure,
            "value": f"{item.fault.value:.4g}",
            "expected": item.fault.expected,
        }
        for item in implausible
    ]
    page.table(Table.from_records(rows, limit=60))
    groups: dict[str, list[Thumbnail]] = defaultdict(list)
    for item in implausible:
        name, thumbnail = item.fault.code, inspection.thumbnails.get(item.image_id)
        if thumbnail is not None and len(groups[name]) < SHOWN_PER_GROUP:
            groups[name].append(thumbnail)
    stacks = {name: np.stack(group) for name, group in groups.items() if group}
    if stacks:
        page.figure(
            contact_sheet(stacks, columns=SHOWN_PER_GROUP), "A few of these images, by their fault."
        )


def _add_rejects(
    page: Page, images: pd.DataFrame, rejects: pd.DataFrame, inspection: FileInspection
) -> None:
    paths = dict(zip(images["image_id"], images["path"], strict=True))
    listed = [
        (f"{row.kind}, {row.cause}" if row.cause else str(row.kind), str(row.item), str(row.reason))
        for row in rejects.itertuples()
    ]
    undecodable = [
        ("pixels", paths[image_id], reason)
        for image_id, reason in sorted(inspection.undecodable.items())
    ]
    if not listed and not undecodable:
        page.section("Rejects", "Nothing was left out.")
        return
    page.section("Rejects", "What was left out, by reason; rejects.parquet lists all of it.")
    if undecodable:
        page.text(
            "Images that are not left out yet, but whose pixels cannot be decoded, so that "
            f"convert will reject them: {len(undecodable)}."
        )
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, item, reason in [*listed, *undecodable]:
        groups[kind, _general(reason, item)].append(item)
    rows = [
        {"kind": kind, "reason": reason, "number": len(items), "example": _short(items[0])}
        for (kind, reason), items in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
    page.table(Table.from_records(rows, limit=60))


def _short(path: str) -> str:
    """Return a path without its middle: NBIA names folders by UIDs of 60 digits."""
    parts = path.split("/")
    return "/".join([parts[0], "…", parts[-1]]) if len(parts) > 2 else path


def _general(reason: str, item: str) -> str:
    """Return the first sentence of a reason, without the names and numbers of its case."""
    problem = reason.split(" Expected", 1)[0].replace(item, "it")
    problem = re.sub(r"\S*[/\\]\S+", "it", problem)
    return re.sub(r"\b(P_\d+\w*|\d+)\b", "…", problem).strip()


def _add_contact_sheet(
    page: Page, images: pd.DataFrame, inspection: FileInspection, split: SplitResult | None
) -> None:
    thumbnails = inspection.thumbnails
    groups = {
        name: np.stack([thumbnails[image_id] for image_id in group if image_id in thumbnails])
        for name, group in shown_groups(images, split).items()
        if any(image_id in thumbnails for image_id in group)
    }
    if not groups:
        return

    def draw() -> str:
        return base64.b64encode(contact_sheet(groups, columns=SHOWN_PER_GROUP)).decode()

    digest = hashlib.sha256()
    for name, group in groups.items():
        digest.update(f"{name}\t{len(group)}\n".encode())
        digest.update(group.tobytes())
    question = f"contact sheet {digest.hexdigest()}"
    cache = inspection.fact_cache
    sheet = cache.cached(question, [], _SHEET, draw) if cache is not None else draw()
    page.section("Sample images", "A few images of each split and label, chosen by their digests.")
    page.figure(base64.b64decode(sheet), "Contact sheet by split and label.")
