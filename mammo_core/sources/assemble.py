"""Cases of any adapter in, the tables of images, lesions and rejects out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from mammo_core.dicom import ImageFacts
from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.files import describe
from mammo_core.sources.masks import check_mask, mask_file
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    ProgressCall,
    Rejects,
    Row,
    SourceTables,
    run_all,
    table_of,
    threads,
)

#: Endings of files that can be mammograms.
SUFFIXES: Final = (".dcm", ".dicom", ".png", ".tif", ".tiff")
#: Where an image that is on several sides is told to be.
_SIDES: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class LesionCase:
    """A lesion that a source tells of.

    Args:
        item: How rejects call it.
        number: Its number among the lesions of its view.
        lesion_type: mass or calc.
        pathology: MALIGNANT, BENIGN or BENIGN_WITHOUT_CALLBACK.
        mask_path: See `masks`.
        assessment: BI-RADS category, 0 when unknown.
        mass_margins: A word, or empty.
    """

    item: str
    number: int
    lesion_type: Literal["mass", "calc"]
    pathology: str
    mask_path: str
    assessment: int = 0
    mass_margins: str = ""


@dataclass(frozen=True)
class ImageCase:
    """A mammogram that a source tells of.

    Args:
        item: How rejects call it.
        path: Its file, relative to the root.
        patient_key: Who; never the patient id itself.
        laterality: LEFT or RIGHT.
        view: CC or MLO.
        malignant: 0 or 1.
        breast_density: 1 to 4, 0 when unknown.
        split: train, validation or test; empty when the source divides nobody.
        lesion_types: Types of lesions that are known without a mask.
        lesions: Those with a mask.
    """

    item: str
    path: str
    patient_key: str
    laterality: str
    view: str
    malignant: int
    breast_density: int = 0
    split: str = ""
    lesion_types: frozenset[str] = frozenset()
    lesions: tuple[LesionCase, ...] = ()

    @property
    def view_id(self) -> str:
        """Patient, laterality and view."""
        return f"{self.patient_key}_{self.laterality}_{self.view}"

    @property
    def types(self) -> frozenset[str]:
        """Types of all lesions."""
        return self.lesion_types | {lesion.lesion_type for lesion in self.lesions}


@dataclass(frozen=True)
class _Image:
    """A file that several cases may stand for, and its row."""

    facts: ImageFacts
    row: Row
    cases: tuple[ImageCase, ...]


@dataclass(frozen=True)
class _Checked:
    """The digest of a lesion's mask, or why it cannot be used."""

    sha256: str = ""
    reason: str = ""


_CHECKED: Final = TypeAdapter(_Checked)


def assemble(
    files: SourceFiles,
    source: str,
    cases: Sequence[ImageCase],
    rejects: Rejects,
    *,
    facts: dict[str, Any],
    header_agrees: bool = False,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Look at every image and mask of the cases, and make the tables.

    Byte-identical files are one image: malignant if any case says so, on all sides that the
    cases name. One picture that stands for several views is rejected.

    Args:
        files: The files of the source.
        source: Its name, for the tables.
        cases: What the source tells.
        rejects: What was left out so far; more is added.
        facts: What is known of the source besides; counts are added.
        header_agrees: Whether an image is rejected whose header names another side or view.
        progress: Called with what is done, how many, of how many.
        workers: Threads.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: No image is left.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    there = [case for case in cases if _is_there(files, case, rejects)]
    with threads(workers) as pool:
        names = sorted({case.path for case in there})
        looked = run_all(pool, lambda name: describe(files, name), names, "images", progress)
        described = dict(zip(names, looked, strict=True))
        by_digest: dict[str, list[ImageCase]] = defaultdict(list)
        for case in there:
            seen = described[case.path]
            if seen.facts is None:
                rejects.add(case.item, "image", seen.reason)
            elif reason := _header_disagrees(case, seen.facts) if header_agrees else "":
                rejects.add(case.item, "image", reason)
            else:
                by_digest[seen.sha256].append(case)
        images: list[_Image] = []
        for digest, own in by_digest.items():
            found = described[min(case.path for case in own)].facts
            if found is not None and _is_one_view(own, rejects):
                row = _image_row(source, digest, own, found)
                images.append(_Image(found, row, tuple(own)))
        if not images:
            raise SourceError(
                f"No image of the source {source} can be used",
                expected="at least one mammogram under the root",
                received=_reasons(rejects, len(cases)),
            )
        images.sort(key=lambda image: (str(image.row["view_id"]), str(image.row["path"])))
        wanted = _lesions(images)

        def look(lesion: tuple[str, LesionCase, _Image]) -> _Checked:
            mask_path, facts = lesion[1].mask_path, lesion[2].facts
            file = mask_file(mask_path)

            def check() -> _Checked:
                try:
                    return _Checked(_checked(files, mask_path, facts.rows, facts.columns))
                except DicomError as error:
                    return _Checked(reason=str(error))

            question = f"mask {mask_path} of {(facts.rows, facts.columns)}"
            return files.cached(question, [file] if file else [], _CHECKED, check)

        checked = run_all(pool, look, wanted, "masks", progress)
    lesions: list[Row] = []
    for (lesion_id, lesion, image), mask in zip(wanted, checked, strict=True):
        if mask.reason:
            rejects.add(lesion.item, "lesion", mask.reason)
        else:
            lesions.append(_lesion_row(lesion_id, lesion, image, mask.sha256))
    return _tables(cases, [image.row for image in images], lesions, rejects, facts, len(names))


def _is_there(files: SourceFiles, case: ImageCase, rejects: Rejects) -> bool:
    if case.path in files.entries:
        return True
    rejects.add(
        case.item,
        "image",
        f"The image file {case.path} is missing. Expected a file under the root. Received none.",
    )
    return False


def _header_disagrees(case: ImageCase, facts: ImageFacts) -> str:
    for told, header in ((case.laterality, facts.laterality), (case.view, facts.view)):
        if header is not None and header != told:
            return (
                f"The header of {case.path} tells something else. Expected {told}, as the "
                f"table. Received {header}."
            )
    return ""


def _is_one_view(cases: list[ImageCase], rejects: Rejects) -> bool:
    views = sorted({case.view_id for case in cases})
    if len(views) == 1:
        return True
    for case in cases:
        rejects.add(
            case.item,
            "image",
            "One picture stands for several views. Expected one view. "
            f"Received {', '.join(views)}.",
        )
    return False


def _image_row(source: str, digest: str, cases: list[ImageCase], facts: ImageFacts) -> Row:
    first = cases[0]
    sides = sorted({case.split for case in cases if case.split})
    return {
        "image_id": digest,
        "path": min(case.path for case in cases),
        "patient_key": first.patient_key,
        "laterality": first.laterality,
        "view": first.view,
        "view_id": first.view_id,
        "source": source,
        "official_split": next((side for side in _SIDES if side in sides), ""),
        "official_splits": "+".join(sides),
        "breast_density": next((case.breast_density for case in cases if case.breast_density), 0),
        "malignant": max(case.malignant for case in cases),
        "lesion_types": "+".join(sorted({name for case in cases for name in case.types})),
        "manufacturer": facts.manufacturer,
        "bits_stored": facts.bits_stored,
        "rows": facts.rows,
        "columns": facts.columns,
    }


def _lesions(images: list[_Image]) -> list[tuple[str, LesionCase, _Image]]:
    """Return every lesion once, under an id of its own."""
    found: list[tuple[str, LesionCase, _Image]] = []
    for image in images:
        own: dict[tuple[str, int, str], LesionCase] = {}
        for case in image.cases:
            for lesion in case.lesions:
                own.setdefault((lesion.lesion_type, lesion.number, lesion.mask_path), lesion)
        found += [
            (f"{image.row['view_id']}_{lesion.lesion_type}_{lesion.number}", lesion, image)
            for lesion in own.values()
        ]
    often = Counter(lesion_id for lesion_id, _, _ in found)
    seen: Counter[str] = Counter()
    named: list[tuple[str, LesionCase, _Image]] = []
    for lesion_id, lesion, image in found:
        # Several files of one view may each have a lesion of that number.
        name = f"{lesion_id}_{image.row['image_id'][:8]}" if often[lesion_id] > 1 else lesion_id
        seen[name] += 1
        named.append((f"{name}_{seen[name]}" if seen[name] > 1 else name, lesion, image))
    return named


def _checked(files: SourceFiles, mask_path: str, rows: int, columns: int) -> str:
    file = mask_file(mask_path)
    if file is not None and file not in files.entries:
        raise DicomError(
            f"The mask {file} is missing", expected="a file under the root", received="none"
        )
    return check_mask(files, mask_path, rows, columns)


def _lesion_row(lesion_id: str, lesion: LesionCase, image: _Image, digest: str) -> Row:
    shared = ("image_id", "view_id", "patient_key", "official_split")
    return {
        **{name: image.row[name] for name in shared},
        "lesion_id": lesion_id,
        "abnormality_id": lesion.number,
        "lesion_type": lesion.lesion_type,
        "pathology": lesion.pathology,
        "malignant": int(lesion.pathology == "MALIGNANT"),
        "assessment": lesion.assessment,
        "subtlety": 0,
        "mass_shape": "",
        "mass_margins": lesion.mass_margins,
        "calc_type": "",
        "calc_distribution": "",
        "mask_path": lesion.mask_path,
        "mask_sha256": digest,
    }


def _reasons(rejects: Rejects, cases: int) -> str:
    first = str(rejects.rows[0]["reason"]) if rejects.rows else "no case"
    return f"{cases} cases, all rejected, the first: {first}" if cases else first


def case_facts(cases: Iterable[ImageCase]) -> dict[str, Any]:
    """Count what a source tells, without any image.

    Args:
        cases: Its cases.

    Returns:
        views, patients, splits (views, malignant views and patients of each side that is
        named) and leaking_patients (how many are on several sides).
    """
    cases = list(cases)
    sides: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.split:
            sides[case.patient_key].add(case.split)
    return {
        **_counts(cases),
        "splits": {
            side: _counts([case for case in cases if case.split == side])
            for side in _SIDES
            if any(case.split == side for case in cases)
        },
        "leaking_patients": sum(len(names) > 1 for names in sides.values()),
    }


def _counts(cases: list[ImageCase]) -> dict[str, int]:
    return {
        "views": len({case.view_id for case in cases}),
        "malignant": len({case.view_id for case in cases if case.malignant}),
        "patients": len({case.patient_key for case in cases}),
    }


def _tables(
    cases: Sequence[ImageCase],
    images: list[Row],
    lesions: list[Row],
    rejects: Rejects,
    facts: dict[str, Any],
    image_files: int,
) -> SourceTables:
    return SourceTables(
        images=table_of(images, IMAGE_COLUMNS),
        lesions=table_of(sorted(lesions, key=lambda row: str(row["lesion_id"])), LESION_COLUMNS),
        rejects=table_of(rejects.rows, REJECT_COLUMNS),
        facts={
            **facts,
            **case_facts(cases),
            "files": {
                "image_files": image_files,
                "images": len(images),
                "views": len({row["view_id"] for row in images}),
                "lesions": len(lesions),
                "rejects": rejects.by_kind(),
            },
        },
    )
