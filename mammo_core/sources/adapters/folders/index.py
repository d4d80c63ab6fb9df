"""Index what users of the original system have.

Two layouts, both with patient, side and view in the file names (`P_00001_LEFT_CC.png`,
`Mass-Training_P_00001_LEFT_CC_1.png`, names of INbreast files):

* class folders: `<train|val|test>/<neg|pos>/…`, at any depth, with or without splits;
* a case table (`source.tables`) with the columns patient_id, side, view, abn_num, pathology,
  type, a folder of mammograms and one of masks (`Calc-Training_<pat>_<side>_<view>_<abn>.png`).

`pat_lst.txt` in a split's folder lists the patients of that split. Folders of patches are
refused: the step `sample` cuts patches, which keeps lesions and splits.
"""

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.folders import FoldersOptions
from mammo_core.sources.adapters.folders.case_table import read_case_folders
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.image_files import JPEG_SUFFIXES, SUFFIXES
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase
from mammo_core.sources.identity.names import read_name
from mammo_core.sources.identity.patients import (
    fingerprint,
    is_public,
    normalize_id,
    patient_key,
    similar_id,
    site_key,
)
from mammo_core.sources.tables.source_tables import ProgressCall, Rejects, SourceTables

PATIENT_LIST: Final = "pat_lst.txt"
_SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
#: Folder → (malignant, lesion type). The fork puts malignant views into calc and mass.
_CLASSES: Final = {
    **dict.fromkeys(("neg", "negative", "benign", "normal"), (0, "")),
    **dict.fromkeys(("pos", "positive", "malignant", "cancer"), (1, "")),
    "calc": (1, "calc"),
    "mass": (1, "mass"),
}
#: Classes without a lesion type, which may stand above one with it (`pos/mass`).
_PLAIN: Final = {(0, ""), (1, "")}
_PATCHES: Final = frozenset(
    ("background", "calc_ben", "calc_mal", "mass_ben", "mass_mal", "bkg", "hard_neg")
)
#: Read by the original, not here: 8-bit color, or, without an option, lossy.
_UNSUPPORTED: Final = (".bmp", *JPEG_SUFFIXES)
_JPEG_HINT: Final = (
    " If the data set is published as JPEG only, set source.folders.lossy_jpeg to true."
)
#: Files that a warning lists.
_LISTED: Final = 5


def index_folders(
    config: SourceConfig,
    files: SourceFiles,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Read folders laid out for the original system.

    A view in folders of different classes is rejected. Patients whose names are not published
    pseudonyms get keys under the site key, and an exam is then a DICOM study; a published
    patient has one exam.

    Args:
        config: `root` contains everything; with `tables` the case table is read.
        files: The files under the root.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables.

    Raises:
        SourceError: The folders contain patches or no image, a patient list is missing, or
            paths contain patient ids without permission.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = config.options(FoldersOptions)
    rejects = Rejects()
    facts: dict[str, Any] = {}
    if config.tables is None:
        cases = _class_folder_cases(files, rejects)
    else:
        cases = read_case_folders(files, config.tables, options, rejects, facts)
    cases = _apply_lists(cases, _read_lists(files, options), rejects, facts)
    facts["warnings"] = _similar_patients(cases)
    cases, key = _with_keys(cases, options.patient_ids_in_paths, facts)
    return assemble(
        files,
        "folders",
        cases,
        rejects,
        facts={"rows": len(cases), **facts},
        site_key=key,
        view_labels="equal",
        progress=progress,
        workers=workers,
    )


def _class_folder_cases(files: SourceFiles, rejects: Rejects) -> list[ImageCase]:
    cases: list[ImageCase] = []
    suffixes = (*SUFFIXES, *JPEG_SUFFIXES) if files.lossy_jpeg else SUFFIXES
    for name in files.names():
        lower = name.lower()
        if lower.endswith(suffixes):
            case = _class_folder_case(name, rejects)
            if case is not None:
                cases.append(case)
        elif lower.endswith(_UNSUPPORTED):
            rejects.add(
                name,
                "image",
                "This image format is not supported. Expected DICOM, or gray PNG, TIFF or PGM of "
                "8 to 16 bits. Received another format."
                + (_JPEG_HINT if lower.endswith(JPEG_SUFFIXES) else ""),
            )
    if not cases:
        raise SourceError(
            f"No mammogram is in class folders under {files.uri}",
            expected="train/neg/<patient>_<side>_<view>.png and the like",
            received=str(rejects.rows[0]["reason"]) if rejects.rows else "no image file",
        )
    return cases


def _class_folder_case(name: str, rejects: Rejects) -> ImageCase | None:
    folders = name.lower().split("/")[:-1]
    patches = [folder for folder in folders if folder in _PATCHES]
    if patches:
        raise SourceError(
            "These are patches, not mammograms",
            expected="folders neg and pos with whole mammograms",
            received=f"a folder {patches[0]}",
            hint="Use the mammograms and masks they were cut from (docs/sources.md); the step "
            "`sample` cuts patches again, with preset S10 as in the original",
        )
    named = [folder for folder in folders if folder in _CLASSES]
    classes = [_CLASSES[folder] for folder in named]
    splits = {_SPLITS[folder] for folder in folders if folder in _SPLITS}
    image_name = read_name(name)
    if not classes or len(splits) > 1:
        expected = "one of the folders " + ", ".join(_CLASSES)
        received = "folders of several splits" if classes else "none"
        rejects.add(
            name, "image", f"Its class is unknown. Expected {expected}. Received {received}."
        )
        return None
    if len({malignant for malignant, _ in classes}) > 1 or len({*classes} - _PLAIN) > 1:
        rejects.add(
            name,
            "image",
            "Its folders contradict each other. Expected folders of one class. "
            f"Received {' and '.join(dict.fromkeys(named))}.",
        )
        return None
    if image_name is None:
        rejects.add(
            name,
            "image",
            "Its patient and view are unknown. Expected <patient>_<side>_<view>.png. "
            "Received another name. List the image in a CSV instead (source `table`).",
        )
        return None
    malignant, lesion_type = classes[0][0], "".join({kind for _, kind in classes})
    return ImageCase(
        item=name,
        paths=(name,),
        patient_key=image_name.patient,
        laterality=image_name.laterality,
        view=image_name.view,
        view_modifiers=image_name.view_modifiers,
        malignant=malignant,
        split=next(iter(splits), ""),
        lesion_types=frozenset({lesion_type} - {""}),
    )


def _read_lists(files: SourceFiles, options: FoldersOptions) -> dict[str, set[str]]:
    """Return the patients of each split that has a list."""
    names = {str(split): name for split, name in options.patient_lists.items()}
    if not names:
        for name in files.names():
            *folders, file = name.split("/")
            split = _SPLITS.get(folders[-1].lower(), "") if folders else ""
            if file == PATIENT_LIST and split:
                names[split] = name
    lists: dict[str, set[str]] = {}
    for split, name in names.items():
        if name not in files.entries:
            raise SourceError(
                f"The patient list {name} is missing",
                expected="a file under the root, one patient a line",
                received="none",
            )
        with files.as_local_file(name) as path:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        lists[split] = {normalize_id(line) for line in text.splitlines() if line.strip()}
    overlaps = [
        f"{len(both)} in {split} and {other}"
        for split in lists
        for other in lists
        if split < other and (both := lists[split] & lists[other])
    ]
    if overlaps:
        raise SourceError(
            "Patients are in two patient lists",
            expected="every patient in one",
            received=", ".join(overlaps),
        )
    return lists


def _apply_lists(
    cases: list[ImageCase], lists: dict[str, set[str]], rejects: Rejects, facts: dict[str, Any]
) -> list[ImageCase]:
    """Put patients into the splits of the lists; those on no list are left out and counted."""
    if not lists:
        return cases
    split_of = {patient: split for split, patients in lists.items() for patient in patients}
    kept: list[ImageCase] = []
    unlisted: set[str] = set()
    for case in cases:
        split = split_of.get(case.patient_key)
        if split is None and (not case.split or case.split in lists):
            unlisted.add(case.patient_key)
        elif split is not None and case.split and case.split != split:
            rejects.add(
                case.item,
                "image",
                f"Folder and patient list disagree. Expected {split}, as in the list. "
                f"Received {case.split}.",
            )
        else:
            kept.append(replace(case, split=split or case.split))
    facts["patients_of_no_list"] = len(unlisted)
    return kept


def _similar_patients(cases: list[ImageCase]) -> list[dict[str, str]]:
    """Return a warning for each group of patients whose names are nearly equal."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for case in cases:
        groups[similar_id(case.patient_key)].setdefault(case.patient_key, case.item)
    return [
        {
            "code": "similar_ids",
            "message": "Patients in file names differ only in case or padding zeros, and count as "
            f"different patients: {', '.join(sorted(items.values())[:_LISTED])}. Expected one "
            "spelling for each patient.",
        }
        for items in groups.values()
        if len(items) > 1
    ]


def _with_keys(
    cases: list[ImageCase], patient_ids_in_paths: bool, facts: dict[str, Any]
) -> tuple[list[ImageCase], bytes | None]:
    """Replace the names of patients by keys; return the site key if it was needed."""
    private = sorted({case.patient_key for case in cases if not is_public(case.patient_key)})
    if not private:
        return cases, None
    if not patient_ids_in_paths:
        raise SourceError(
            f"The file names contain the ids of {len(private)} patients",
            expected="pseudonyms of CBIS-DDSM (P_00001) or INbreast (16 hexadecimal digits)",
            received="others; paths are written into tables and messages",
            hint="If these names may be published, set source.folders.patient_ids_in_paths to true",
        )
    key = site_key()
    facts["site_key"] = fingerprint(key)
    keys = {patient_id: patient_key(key, patient_id) for patient_id in private}
    keyed = [
        replace(case, patient_key=keys.get(case.patient_key, case.patient_key)) for case in cases
    ]
    return keyed, key
