"""The different images of a source: the file of each case, and one row for each image."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from mammo_core.dicom import ImageFacts
from mammo_core.sources.cases import SPLITS, ImageCase
from mammo_core.sources.image_files import ImageFile
from mammo_core.sources.source_tables import Rejects, Row


@dataclass(frozen=True)
class CaseFile:
    """A case, and the file chosen for it.

    Args:
        case: The case.
        path: Its file, relative to the root.
        sha256: Digest of the file, hexadecimal.
        facts: What its header says.
    """

    case: ImageCase
    path: str
    sha256: str
    facts: ImageFacts


@dataclass(frozen=True)
class SourceImage:
    """A different image, its row, and all cases it belongs to.

    Args:
        facts: What its header says.
        row: Its row in the table of images.
        cases: Its cases.
    """

    facts: ImageFacts
    row: Row
    cases: tuple[ImageCase, ...]


def choose_file(
    case: ImageCase, described: Mapping[str, ImageFile], header_agrees: bool, rejects: Rejects
) -> CaseFile | None:
    """Return the one readable file of a case, or reject the case.

    Args:
        case: The case.
        described: Path → description of each file that exists.
        header_agrees: Whether a case is rejected if its header contradicts side or view.
        rejects: What was left out; more is added.
    """
    candidates = [described[path] for path in case.paths if path in described]
    readable = [file for file in candidates if file.facts is not None]
    if not case.paths:
        reason = "The image file is missing. Expected a file. Received none."
        rejects.add(case.item, "image", reason)
    elif not candidates:
        rejects.add(
            case.item,
            "image",
            f"The image file {case.paths[0]} is missing. Expected a file under the root. "
            "Received none.",
        )
    elif not readable:
        for file in candidates:
            item = case.item if len(case.paths) == 1 else file.path
            rejects.add(item, "image", file.reason)
    elif len({file.sha256 for file in readable}) > 1:
        names = ", ".join(file.path for file in readable)
        rejects.add(
            case.item,
            "image",
            f"Several different images are in its folder. Expected one. Received {names}.",
        )
    elif (facts := readable[0].facts) is not None:
        reason = _contradiction(case, readable[0].path, facts) if header_agrees else ""
        if not reason:
            return CaseFile(case, readable[0].path, readable[0].sha256, facts)
        rejects.add(case.item, "image", reason)
    return None


def _contradiction(case: ImageCase, path: str, facts: ImageFacts) -> str:
    """Return how the header contradicts the table, or nothing."""
    for stated, header in ((case.laterality, facts.laterality), (case.view, facts.view)):
        if header is not None and header != stated:
            return (
                f"The header of {path} contradicts the table. Expected {stated}, as in the "
                f"table. Received {header}."
            )
    return ""


def group_images(
    source: str, chosen: list[CaseFile], rejects: Rejects
) -> tuple[list[SourceImage], set[int]]:
    """Return the different images, and the identities (`id`) of the cases that have one.

    Args:
        source: Name of the source in the tables.
        chosen: The files of the cases; byte-identical ones are one image.
        rejects: What was left out; images that belong to several views are added.
    """
    by_digest: dict[str, list[CaseFile]] = defaultdict(list)
    for image in chosen:
        by_digest[image.sha256].append(image)
    images: list[SourceImage] = []
    usable: set[int] = set()
    for digest, group in by_digest.items():
        cases = [image.case for image in group]
        if not _is_one_view(cases, rejects):
            continue
        first = min(group, key=lambda image: image.path)
        row = _image_row(source, digest, first.path, cases, first.facts)
        images.append(SourceImage(first.facts, row, tuple(cases)))
        usable.update(map(id, cases))
    images.sort(key=lambda image: (str(image.row["view_id"]), str(image.row["path"])))
    return images, usable


def _is_one_view(cases: list[ImageCase], rejects: Rejects) -> bool:
    views = sorted({case.view_id for case in cases})
    if len(views) == 1:
        return True
    for item in dict.fromkeys(case.item for case in cases):
        rejects.add(
            item,
            "image",
            "The same image belongs to several views. Expected one view. "
            f"Received {', '.join(views)}.",
        )
    return False


def _image_row(
    source: str, digest: str, path: str, cases: list[ImageCase], facts: ImageFacts
) -> Row:
    first = cases[0]
    splits = sorted({case.split for case in cases if case.split})
    by_split = sorted(cases, key=lambda case: case.split)
    return {
        "image_id": digest,
        "path": path,
        "patient_key": first.patient_key,
        "laterality": first.laterality,
        "view": first.view,
        "view_id": first.view_id,
        "source": source,
        "official_split": next((split for split in SPLITS if split in splits), ""),
        "official_splits": "+".join(splits),
        "breast_density": next(
            (case.breast_density for case in by_split if case.breast_density), 0
        ),
        "malignant": max(case.malignant for case in cases),
        "lesion_types": "+".join(sorted({name for case in cases for name in case.types})),
        "manufacturer": facts.manufacturer,
        "bits_stored": facts.bits_stored,
        "rows": facts.rows,
        "columns": facts.columns,
    }
