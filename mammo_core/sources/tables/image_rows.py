"""The different images of a source: the file of each case, and one row for each image."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Literal

from mammo_core.dicom import ImageFacts, ImageWarning, view_class
from mammo_core.dicom.meanings.header_meaning import orientation_warnings
from mammo_core.dicom.meanings.meaning import ImageType
from mammo_core.sources.files.image_files import ImageFile
from mammo_core.sources.identity.cases import SPLITS, UNKNOWN_LABEL, ImageCase, Targets
from mammo_core.sources.tables.source_tables import PackedRow, Rejects, Row

#: Different facts of images that are kept, so that equal ones are one object.
_DIFFERENT_FACTS: Final = 4096
#: What images of one view may say about their label: `by_exam` (each has its own, if the source
#: names exams), `equal` (always the same), `any` (a view is malignant if any of its files is).
ViewLabels = Literal["by_exam", "equal", "any"]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case, and the file chosen for it.

    Args:
        case: The case, with the view and modifiers that source and header state together.
        original: The case as the adapter made it.
        path: Its file, relative to the root.
        sha256: Digest of the file, hexadecimal.
        facts: What its header says.
    """

    case: ImageCase
    original: ImageCase
    path: str
    sha256: str
    facts: ImageFacts


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A different image, its row, and all cases it belongs to.

    Args:
        facts: What source and header say.
        row: Its row in the table of images.
        cases: Its cases.
    """

    facts: ImageFacts
    row: Row = field(repr=False)
    cases: tuple[ImageCase, ...]


def choose_file(
    case: ImageCase,
    described: Mapping[str, ImageFile],
    header_views: Mapping[str, str],
    rejects: Rejects,
) -> CaseFile | None:
    """Return the one readable file of a case, or reject the case.

    Args:
        case: The case.
        described: Path → description of each file that exists.
        header_views: View in a header → the view that the collection means by it.
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
        return _with_header(case, readable[0], facts, header_views, rejects)
    return None


def _with_header(
    case: ImageCase,
    file: ImageFile,
    facts: ImageFacts,
    header_views: Mapping[str, str],
    rejects: Rejects,
) -> CaseFile | None:
    """Join what source and header say; reject the case if they contradict each other."""
    header_view = header_views.get(facts.view or "", facts.view)
    # A source may name the class of a view; the header then says which view it is.
    is_class = case.view is not None and case.view == view_class(header_view)
    view_differs = None not in (case.view, header_view) and case.view != header_view
    for stated, header, differs in (
        (case.laterality, facts.laterality, facts.laterality not in (None, case.laterality)),
        (case.view, header_view, view_differs and not is_class),
    ):
        if differs:
            rejects.add(
                case.item,
                "image",
                f"The header of {file.path} contradicts the source. Expected {stated}, as in the "
                f"source. Received {header}.",
            )
            return None
    view = header_view or case.view
    joined = _joined(
        facts,
        view=view,
        laterality="LEFT" if case.laterality == "LEFT" else "RIGHT",
        modifiers=tuple(sorted({*case.view_modifiers, *facts.view_modifiers})),
        specimen=facts.specimen or case.specimen,
        implant=_either(facts.implant, case.implant),
        image_type=case.image_type or facts.image_type,
        conflict=f"The source says {case.view}, the header says {header_view}"
        if view_differs
        else "",
    )
    if (case.view, case.view_modifiers) != (view, joined.view_modifiers):
        case_with_view = replace(case, view=view, view_modifiers=joined.view_modifiers)
    else:
        case_with_view = case
    return CaseFile(case_with_view, case, file.path, file.sha256, joined)


@lru_cache(maxsize=_DIFFERENT_FACTS)
def _joined(
    facts: ImageFacts,
    *,
    view: str | None,
    laterality: Literal["LEFT", "RIGHT"],
    modifiers: tuple[str, ...],
    specimen: bool,
    implant: bool | None,
    image_type: ImageType | None,
    conflict: str,
) -> ImageFacts:
    """Facts of a header with what the source states; the same ones for equal images."""
    warnings = list(facts.warnings)
    if conflict:
        warnings.append(ImageWarning(code="conflict", message=conflict))
    joined = facts.with_view(view, laterality)
    if facts.laterality is None:  # the header alone could not be compared
        turned = orientation_warnings(facts.patient_orientation, joined.laterality)
        warnings += [warning for warning in turned if warning not in warnings]
    return joined.model_copy(
        update={
            "view_modifiers": modifiers,
            "specimen": specimen,
            "implant": implant,
            "image_type": image_type,
            "warnings": tuple(warnings),
        }
    )


def _either(header: bool | None, source: bool | None) -> bool | None:
    """Return whether header or source says so; None where neither says anything."""
    stated = [answer for answer in (header, source) if answer is not None]
    return any(stated) if stated else None


def group_images(
    source: str, chosen: list[CaseFile], view_labels: ViewLabels, rejects: Rejects
) -> tuple[list[SourceImage], set[int]]:
    """Return the different images, and the identities (`id`) of the cases that have one.

    Args:
        source: Name of the source in the tables.
        chosen: The files of the cases; byte-identical ones are one image.
        view_labels: What images of one view may say about their label.
        rejects: What was left out; images that belong to several views, or whose labels
            contradict those of another image of the view, are added.
    """
    contradictory = _contradictory(chosen, view_labels)
    by_digest: dict[str, list[CaseFile]] = defaultdict(list)
    for image in chosen:
        by_digest[image.sha256].append(image)
    images: list[SourceImage] = []
    usable: set[int] = set()
    for digest, group in by_digest.items():
        if not _is_one_view(group, rejects):
            continue
        others = [contradictory[id(image)] for image in group if id(image) in contradictory]
        if others:
            for image in group:
                if id(image) in contradictory:
                    rejects.add(image.case.item, "image", contradictory[id(image)])
            continue
        first = min(group, key=lambda image: image.path)
        cases = tuple(image.case for image in group)
        row = _image_row(source, digest, first.path, cases, first.facts)
        images.append(SourceImage(first.facts, row, cases))
        usable.update(id(image.original) for image in group)
    images.sort(key=lambda image: (str(image.row["view_id"]), str(image.row["path"])))
    return images, usable


def _contradictory(chosen: list[CaseFile], view_labels: ViewLabels) -> dict[int, str]:
    """Return the files whose labels contradict others of their view (by `id`), and why."""
    if view_labels == "any":
        return {}
    groups: dict[tuple[str, str], list[CaseFile]] = defaultdict(list)
    copies = Counter(image.sha256 for image in chosen)
    for image in chosen:
        if image.case.view is not None and (view_labels == "equal" or not image.case.exam_key):
            groups["view", image.case.view_id].append(image)
        if copies[image.sha256] > 1:
            groups["file", image.sha256].append(image)
    reasons: dict[int, str] = {}
    for group in groups.values():
        for image in group:
            others = [
                other
                for other in group
                if UNKNOWN_LABEL not in (other.case.malignant, image.case.malignant)
                and other.case.malignant != image.case.malignant
            ]
            if others:
                names = ", ".join(sorted({other.case.item for other in others})[:3])
                more = f" and {len(others) - 3} more" if len(others) > 3 else ""
                label = "malignant" if others[0].case.malignant else "not malignant"
                reasons[id(image)] = (
                    f"Its label contradicts another image of {image.case.view_id}. Expected one "
                    f"label, or exams that tell the images apart. Received {names}{more}, "
                    f"{label}."
                )
    return reasons


def _is_one_view(group: list[CaseFile], rejects: Rejects) -> bool:
    views = sorted({image.case.view_id for image in group})
    if len(views) == 1:
        return True
    for item in dict.fromkeys(image.case.item for image in group):
        rejects.add(
            item,
            "image",
            "The same image belongs to several views. Expected one view. "
            f"Received {', '.join(views)}.",
        )
    return False


def _image_row(
    source: str, digest: str, path: str, cases: tuple[ImageCase, ...], facts: ImageFacts
) -> Row:
    first = cases[0]
    splits = sorted({case.split for case in cases if case.split})
    by_split = sorted(cases, key=lambda case: case.split)
    # An image without a view is a view of its own.
    view_id = first.view_id if first.view is not None else f"{first.view_id}_{digest[:8]}"
    cells: dict[str, Any] = {
        "image_id": digest,
        "path": path,
        "patient_key": first.patient_key,
        "exam_key": first.exam_key,
        "exam_day": None,
        "pathology_day": None,
        "laterality": first.laterality,
        "view_id": view_id,
        "source": source,
        "official_split": next((split for split in SPLITS if split in splits), ""),
        "official_splits": "+".join(splits),
        "breast_density": next(
            (case.breast_density for case in by_split if case.breast_density), 0
        ),
        "malignant": max(case.malignant for case in cases),
        "lesion_types": "+".join(sorted({name for case in cases for name in case.types})),
        "acquisition_order": 0,
        "not_chosen": "",
    }
    return PackedRow(cells, _shared_cells(facts, first.targets))


@lru_cache(maxsize=_DIFFERENT_FACTS)
def _shared_cells(facts: ImageFacts, targets: Targets) -> dict[str, Any]:
    """Cells that are the same for all images of equal facts and targets."""
    return {
        **asdict(targets),
        "manufacturer": facts.manufacturer,
        "bits_stored": facts.bits_stored,
        "rows": facts.rows,
        "columns": facts.columns,
        **meaning_row(facts),
    }


def meaning_row(facts: ImageFacts) -> dict[str, Any]:
    """Return what an image is, as cells of the table of images.

    Args:
        facts: What source and header say.
    """
    warnings = [warning.model_dump() for warning in facts.warnings]
    return {
        "view": facts.view or "",
        "view_class": facts.view_class or "",
        "view_modifiers": "+".join(facts.view_modifiers),
        "image_type": facts.image_type or "",
        "implant": facts.implant,
        "partial_view": facts.partial_view,
        "specimen": facts.specimen,
        "body_part": facts.body_part or "",
        "for_processing": facts.for_processing,
        "burned_in": facts.burned_in,
        "patient_identity_removed": facts.patient_identity_removed,
        "paddle": facts.paddle or "",
        "magnification_factor": facts.magnification_factor,
        "area_mm2": facts.area_mm2,
        "warnings": json.dumps(warnings) if warnings else "",
    }
