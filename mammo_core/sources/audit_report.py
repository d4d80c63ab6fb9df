"""The audit of a source as one HTML page: what it holds, what is odd, how it looks."""

import base64
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from mammo_core.dicom import read_any, read_any_facts
from mammo_core.errors import DicomError, RecipeError
from mammo_core.imaging import resize, to_full_range
from mammo_core.reporting import Page, Table, contact_sheet
from mammo_core.sources.audit import audit
from mammo_core.sources.file_fact_cache import FileFactCache
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import ProgressCall, run_all
from mammo_core.sources.splits import SplitResult, official_sides

_THUMBNAIL: Final = (176, 136)
#: Pictures of each split and label on the contact sheet.
_SHOWN: Final = 8
#: Threads that hold a decoded image each, tens of megabytes.
_DECODERS: Final = 4

Thumbnail = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True)
class FileInspection:
    """What the files themselves tell, beyond the tables.

    Args:
        spacing: image_id → `0.050 mm (ImagerPixelSpacing)`, or `unknown`.
        pixel_sha256: image_id → digest of the decoded pixels, of the images that were decoded
            because another one has their size.
        compared: Whether images were compared by pixels at all.
        thumbnails: image_id → (176, 136) uint16, [0, 65535], of the images to show.
        undecodable: image_id → why its pixels could not be decoded.
        fact_cache: Where the drawn pictures are kept between runs.
    """

    spacing: dict[str, str] = field(default_factory=dict)
    pixel_sha256: dict[str, str] = field(default_factory=dict)
    compared: bool = False
    thumbnails: dict[str, Thumbnail] = field(default_factory=dict)
    undecodable: dict[str, str] = field(default_factory=dict)
    fact_cache: FileFactCache | None = None

    def duplicates(self) -> list[list[str]]:
        """Return the groups of images with equal pixels, though their files differ."""
        groups: dict[str, list[str]] = defaultdict(list)
        for image_id, digest in sorted(self.pixel_sha256.items()):
            groups[digest].append(image_id)
        return [group for group in groups.values() if len(group) > 1]


def inspect_files(
    files: SourceFiles,
    images: pd.DataFrame,
    split: SplitResult | None = None,
    progress: ProgressCall | None = None,
) -> FileInspection:
    """Read the headers of all images, and decode those worth a look.

    Only images of equal size can have equal pixels: of them, and of the few that are shown,
    the pixels are decoded. In a bucket only those to be shown are: the others would all have
    to be fetched.

    Args:
        files: The files of the source.
        images: Its table of images.
        split: Who is where; None takes the official split.
        progress: Told how far it is.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    sizes = Counter(zip(images["rows"], images["columns"], strict=True))
    shown = {image_id for group in _groups(images, split).values() for image_id in group}
    seen = FileInspection(compared=not files.remote, fact_cache=files.fact_cache)

    def look(row: Any) -> None:
        twin = seen.compared and sizes[row.rows, row.columns] > 1
        drawn = row.image_id in shown
        question = f"audit, compared: {twin}, drawn: {drawn}"
        one = files.cached(question, [row.path], _ONE, lambda: _look(files, row.path, twin, drawn))
        seen.spacing[row.image_id] = one.spacing
        if one.pixel_sha256:
            seen.pixel_sha256[row.image_id] = one.pixel_sha256
        if one.thumbnail:
            held = np.frombuffer(base64.b64decode(one.thumbnail), "<u2").reshape(_THUMBNAIL)
            seen.thumbnails[row.image_id] = held
        if one.undecodable:
            seen.undecodable[row.image_id] = one.undecodable

    with ThreadPoolExecutor(min(_DECODERS, len(os.sched_getaffinity(0)))) as pool:
        run_all(pool, look, list(images.itertuples()), "images to audit", progress)
    return seen


@dataclass(frozen=True)
class _One:
    """What was seen of one image; its thumbnail little-endian, in base 64."""

    spacing: str
    pixel_sha256: str = ""
    thumbnail: str = ""
    undecodable: str = ""


_ONE: Final = TypeAdapter(_One)
_SHEET: Final = TypeAdapter(str)


def _look(files: SourceFiles, name: str, twin: bool, drawn: bool) -> _One:
    try:
        with files.as_local_header(name) as path:
            facts = read_any_facts(path, name, for_processing=True)
    except DicomError:
        facts = None  # a header beyond what is fetched of an object
    spacing = "unknown"
    if facts is not None and facts.spacing_mm is not None:
        spacing = f"{facts.spacing_mm:.3f} mm ({facts.spacing_source})"
    if not twin and not drawn:
        return _One(spacing)
    digest = thumbnail = ""
    try:
        with files.as_local_file(name) as path:
            image = read_any(path, name, for_processing=True)
        if twin:
            digest = hashlib.sha256(np.ascontiguousarray(image.pixels).data).hexdigest()
        if drawn:
            small = resize(image.pixels, *_THUMBNAIL, mode="pad")
            held = to_full_range(small, image.facts.bits_stored).astype("<u2")
            thumbnail = base64.b64encode(held.tobytes()).decode()
    except (DicomError, RecipeError) as error:
        return _One(spacing, digest, "", str(error))
    return _One(spacing, digest, thumbnail)


def audit_page(
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    rejects: pd.DataFrame,
    seen: FileInspection,
    *,
    source: str,
    split: SplitResult | None = None,
) -> str:
    """Return the audit as HTML.

    Args:
        images: Table of images of a source.
        lesions: Table of its lesions.
        rejects: Table of its rejects.
        seen: What the files told.
        source: Name of the adapter.
        split: Who is where; None takes the official split.
    """
    counted = audit(images, lesions, rejects, split)
    sides = _sides(images, split)
    duplicates = seen.duplicates()
    page = Page("Audit of the source", f"Adapter {source}. Counts are of images unless they say.")
    page.section("At a glance")
    page.numbers(
        {
            "Images": (counted["images"], f"of {counted['views']:,} views"),
            "Patients": (counted["patients"], f"{_malignant(images):,} with a malignant lesion"),
            "Lesions": (counted["lesions"], "with a mask"),
            "Leaking patients": (len(counted["leaking_patients"]), "on both official sides"),
            "Duplicates": (
                sum(map(len, duplicates)) if seen.compared else None,
                "images with another's pixels" if seen.compared else "not compared",
            ),
            "Rejects": (len(rejects), "rows, images and lesions"),
        }
    )
    _splits(page, images, lesions, sides, seen)
    _leaks(page, images)
    _duplicates(page, images, sides, seen, duplicates)
    _rejects(page, images, rejects, seen)
    _pictures(page, images, seen, split)
    return page.html()


def _malignant(images: pd.DataFrame) -> int:
    return int(images.loc[images["malignant"] == 1, "patient_key"].nunique())


def _sides(images: pd.DataFrame, split: SplitResult | None) -> pd.Series:
    if split is None:
        return images["official_split"].replace("", "none")
    chosen: pd.Series = images["image_id"].map(split.images.set_index("image_id")["split"])
    return chosen


def _groups(images: pd.DataFrame, split: SplitResult | None) -> dict[str, list[str]]:
    """The images to show of each split and label: the first ids, which are digests."""
    sides = _sides(images, split)
    groups: dict[str, list[str]] = {}
    for side in _ordered(sides):
        for label, word in ((1, "malignant"), (0, "not malignant")):
            chosen = images[(sides == side) & (images["malignant"] == label)]
            groups[f"{side}\n{word}"] = sorted(chosen["image_id"])[:_SHOWN]
    return {name: group for name, group in groups.items() if group}


def _ordered(sides: pd.Series) -> list[str]:
    known = ["train", "validation", "test", "excluded"]
    others = sorted({str(side) for side in sides} - set(known))
    return [side for side in (*known, *others) if (sides == side).any()]


def _splits(
    page: Page, images: pd.DataFrame, lesions: pd.DataFrame, sides: pd.Series, seen: FileInspection
) -> None:
    page.section("What is in it", "By split, as the source's tables have it.")
    names = _ordered(sides)
    rows = []
    for name in [*names, "all"]:
        own = images if name == "all" else images[sides == name]
        views = own.groupby("view_id")["malignant"].max()
        rows.append(
            {
                "split": name,
                "images": len(own),
                "views": len(views),
                "malignant views": int(views.sum()),
                "patients": int(own["patient_key"].nunique()),
                "malignant patients": _malignant(own),
                "lesions": int(lesions["image_id"].isin(own["image_id"]).sum()),
            }
        )
    page.table(Table.from_records(rows))
    spacing = images["image_id"].map(seen.spacing).fillna("unknown")
    for title, values in (
        ("label", images["malignant"].map({1: "malignant", 0: "not malignant"})),
        ("lesion type", images["lesion_types"].replace("", "none")),
        ("view", images["view"]),
        ("laterality", images["laterality"]),
        ("breast density", images["breast_density"].replace(0, "unknown")),
        ("manufacturer", images["manufacturer"]),
        ("bit depth", images["bits_stored"]),
        ("pixel spacing", spacing),
    ):
        page.table(_crossed(title, values, sides, names))
    by_image = dict(zip(images["image_id"], sides, strict=True))
    of_lesions = lesions["image_id"].map(by_image)
    for title, column in (
        ("lesions by type", "lesion_type"),
        ("lesions by pathology", "pathology"),
    ):
        page.table(_crossed(title, lesions[column], of_lesions, names))


def _crossed(title: str, values: pd.Series, sides: pd.Series, names: Iterable[str]) -> Table:
    counts = Counter(zip(values.astype(str), sides.astype(str), strict=True))
    rows = [
        {
            title: value,
            **{name: counts[value, name] for name in names},
            "all": sum(counts[value, name] for name in names),
        }
        for value in sorted({value for value, _ in counts})
    ]
    return Table.from_records(rows, [title, *names, "all"], limit=40)


def _leaks(page: Page, images: pd.DataFrame) -> None:
    sides = official_sides(images)
    leaking = sorted(key for key, names in sides.items() if len(names) > 1)
    if not leaking:
        page.section("Leaks", "No patient is on both sides of the official split.")
        return
    page.section(
        "Leaks",
        f"{len(leaking)} patients are on both sides of the official split. A model tested on them "
        "has seen their breasts: choose a split without them (split.name).",
    )
    own = images[images["patient_key"].isin(leaking)]
    rows = [
        {
            "patient": key,
            **{
                f"{side} views": ", ".join(
                    sorted(set(rows.loc[rows["official_splits"].str.contains(side), "view_id"]))
                )
                for side in ("train", "test")
            },
        }
        for key, rows in own.groupby("patient_key")
    ]
    page.table(Table.from_records(rows, limit=60))


def _duplicates(
    page: Page,
    images: pd.DataFrame,
    sides: pd.Series,
    seen: FileInspection,
    groups: list[list[str]],
) -> None:
    if not seen.compared:
        page.section(
            "Duplicates",
            "Not compared: the files are in a bucket, and each would have to be fetched.",
        )
        return
    page.section(
        "Duplicates",
        f"{len(seen.pixel_sha256):,} of {len(images):,} images share their size with another one; "
        "their decoded pixels were compared. "
        + ("Images with equal pixels in different files:" if groups else "No two are equal."),
    )
    known = images.assign(side=sides).set_index("image_id")
    rows = []
    for number, group in enumerate(groups, 1):
        own = known.loc[group]
        odd = [
            word
            for word, column in (("patients", "patient_key"), ("splits", "side"))
            if own[column].nunique() > 1
        ]
        rows += [
            {
                "group": str(number),
                "file": _short(row.path),
                "view": row.view_id,
                "split": row.side,
                "across": " and ".join(odd),
            }
            for row in own.itertuples()
        ]
    if rows:
        page.table(Table.from_records(rows))


def _rejects(page: Page, images: pd.DataFrame, rejects: pd.DataFrame, seen: FileInspection) -> None:
    paths = dict(zip(images["image_id"], images["path"], strict=True))
    found = [(str(row.kind), str(row.item), str(row.reason)) for row in rejects.itertuples()]
    broken = [("pixels", paths[id], reason) for id, reason in sorted(seen.undecodable.items())]
    if not found and not broken:
        page.section("Rejects", "Nothing was left out.")
        return
    page.section("Rejects", "What was left out, by reason; all are in rejects.parquet.")
    if broken:
        page.text(
            "Not left out yet, but with pixels that cannot be decoded, so that convert will "
            f"reject them: {len(broken)}."
        )
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, item, reason in [*found, *broken]:
        groups[kind, _general(reason, item)].append(item)
    rows = [
        {"kind": kind, "reason": reason, "number": len(items), "for instance": _short(items[0])}
        for (kind, reason), items in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
    page.table(Table.from_records(rows, limit=60))


def _short(path: str) -> str:
    """A path without its middle: NBIA names folders by UIDs of 60 digits."""
    parts = path.split("/")
    return "/".join([parts[0], "…", parts[-1]]) if len(parts) > 2 else path


def _general(reason: str, item: str) -> str:
    """The first sentence of a reason, without the names and numbers of its case."""
    problem = reason.split(" Expected", 1)[0].replace(item, "it")
    problem = re.sub(r"\S*[/\\]\S+", "it", problem)
    return re.sub(r"\b(P_\d+\w*|\d+)\b", "…", problem).strip()


def _pictures(
    page: Page, images: pd.DataFrame, seen: FileInspection, split: SplitResult | None
) -> None:
    groups = {
        name: np.stack([seen.thumbnails[one] for one in group if one in seen.thumbnails])
        for name, group in _groups(images, split).items()
        if any(one in seen.thumbnails for one in group)
    }
    if not groups:
        return

    def draw() -> str:
        return base64.b64encode(contact_sheet(groups, columns=_SHOWN)).decode()

    drawn = hashlib.sha256()
    for name, group in groups.items():
        drawn.update(f"{name}\t{len(group)}\n".encode())
        drawn.update(group.tobytes())
    question = f"contact sheet {drawn.hexdigest()}"
    known = seen.fact_cache
    sheet = known.cached(question, [], _SHEET, draw) if known is not None else draw()
    page.section("How it looks", "A few images of each split and label, drawn by their digests.")
    page.figure(base64.b64decode(sheet), "Contact sheet by split and label.")
