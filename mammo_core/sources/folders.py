"""What users of the original system have: folders that are labels, or its CSV and masks.

Two layouts, both with the patient, side and view in the file names
(`P_00001_LEFT_CC.png`, `Mass-Training_P_00001_LEFT_CC_1.png`, names of INbreast files):

* class folders: `<train|val|test>/<neg|pos>/…`, in any depth, with or without splits;
* a case table (`source.tables`) with the columns patient_id, side, view, abn_num, pathology,
  type, a folder of mammograms and one of masks (`Calc-Training_<pat>_<side>_<view>_<abn>.png`).

`pat_lst.txt` in a split's folder says which patients belong there. Folders of patches are
refused: our `sample` step cuts patches, and lesions and splits stay known.
"""

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

from mammo_core.errors import SourceError
from mammo_core.sources.assemble import SUFFIXES, ImageCase, assemble
from mammo_core.sources.case_folders import read_case_folders
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.names import read_name
from mammo_core.sources.patients import fingerprint, is_public, patient_key, site_key
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import ProgressCall, Rejects, SourceTables

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
_PATCHES: Final = frozenset(
    ("background", "calc_ben", "calc_mal", "mass_ben", "mass_mal", "bkg", "hard_neg")
)
#: Read by the original, not here: lossy or of 8 bits in colour.
_OTHER_PICTURES: Final = (".jpg", ".jpeg", ".bmp")


def index_folders(
    config: SourceConfig,
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: SourceFiles | None = None,
) -> SourceTables:
    """Read folders in the manner of the original system.

    A view is malignant if any of its files or lesions is. Patients whose names are no
    published pseudonyms get keys under the site key.

    Args:
        config: `root` holds everything; with `tables` the case table is read.
        progress: Called with what is done, how many, of how many.
        workers: Threads.
        files: The files, where something is known of them; default those of `config`.

    Returns:
        The tables.

    Raises:
        SourceError: Folders of patches, no image, a patient list that is missing, patient
            ids in paths that were not allowed.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    rejects = Rejects()
    facts: dict[str, Any] = {}
    if config.tables is None:
        cases = _class_folders(files, rejects)
    else:
        cases = read_case_folders(files, config.tables, config.folders, rejects, facts)
    cases = _listed(cases, _lists(files, config), rejects, facts)
    cases = _with_keys(cases, config.folders.patient_ids_in_paths, facts)
    return assemble(
        files,
        "folders",
        cases,
        rejects,
        facts={"rows": len(cases), **facts},
        progress=progress,
        workers=workers,
    )


def _class_folders(files: SourceFiles, rejects: Rejects) -> list[ImageCase]:
    found: list[ImageCase] = []
    for name in files.names():
        lower = name.lower()
        folders = lower.split("/")[:-1]
        if lower.endswith(_OTHER_PICTURES):
            told = "Expected DICOM, or gray PNG or TIFF of 8 or 16 bits. Received another kind."
            rejects.add(name, "image", f"The picture cannot be used. {told}")
            continue
        if not lower.endswith(SUFFIXES):
            continue
        patches = [folder for folder in folders if folder in _PATCHES]
        if patches:
            raise SourceError(
                "These are patches, not mammograms",
                expected="folders neg and pos with whole mammograms",
                received=f"a folder {patches[0]}",
                hint="Give the mammograms and masks they were cut from (docs/sources.md); the "
                "step `sample` cuts patches anew, with preset S10 as the original did",
            )
        classes = [_CLASSES[folder] for folder in folders if folder in _CLASSES]
        splits = {_SPLITS[folder] for folder in folders if folder in _SPLITS}
        told_by_name = read_name(name)
        if not classes or len(splits) > 1:
            told = "one of the folders " + ", ".join(_CLASSES)
            received = "folders of several splits" if classes else "none"
            rejects.add(
                name, "image", f"Its class is unknown. Expected {told}. Received {received}."
            )
        elif told_by_name is None:
            rejects.add(
                name,
                "image",
                "Its patient and view are unknown. Expected <patient>_<side>_<view>.png. "
                "Received another name. Say it in a CSV (source `table`).",
            )
        else:
            malignant, kind = classes[-1]
            found.append(
                ImageCase(
                    item=name,
                    path=name,
                    patient_key=told_by_name.patient,
                    laterality=told_by_name.laterality,
                    view=told_by_name.view,
                    malignant=malignant,
                    split=next(iter(splits), ""),
                    lesion_types=frozenset({kind} - {""}),
                )
            )
    if not found:
        raise SourceError(
            f"No mammogram is in class folders under {files.uri}",
            expected="train/neg/<patient>_<side>_<view>.png and the like",
            received=str(rejects.rows[0]["reason"]) if rejects.rows else "no image file",
        )
    # The fork writes a view once for each lesion, as neg and as mass when it has both.
    malignant_views = {case.view_id for case in found if case.malignant}
    return [replace(case, malignant=int(case.view_id in malignant_views)) for case in found]


def _lists(files: SourceFiles, config: SourceConfig) -> dict[str, set[str]]:
    """Return the patients of each split that has a list."""
    told = {str(side): name for side, name in config.folders.patient_lists.items()}
    if not told:
        for name in files.names():
            *folders, file = name.split("/")
            side = _SPLITS.get(folders[-1].lower(), "") if folders else ""
            if file == PATIENT_LIST and side:
                told[side] = name
    lists: dict[str, set[str]] = {}
    for side, name in told.items():
        if name not in files.entries:
            raise SourceError(
                f"The patient list {name} is missing",
                expected="a file under the root, one patient a line",
                received="none",
            )
        with files.as_local_file(name) as path:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        lists[side] = {line.strip() for line in text.splitlines() if line.strip()}
    twice = [
        f"{len(both)} in {one} and {other}"
        for one in lists
        for other in lists
        if one < other and (both := lists[one] & lists[other])
    ]
    if twice:
        raise SourceError(
            "Patients are in two patient lists",
            expected="every patient in one",
            received=", ".join(twice),
        )
    return lists


def _listed(
    cases: list[ImageCase], lists: dict[str, set[str]], rejects: Rejects, facts: dict[str, Any]
) -> list[ImageCase]:
    """Put patients where the lists say; those of no list are left out and counted."""
    if not lists:
        return cases
    side_of = {patient: side for side, patients in lists.items() for patient in patients}
    kept: list[ImageCase] = []
    unlisted: set[str] = set()
    for case in cases:
        side = side_of.get(case.patient_key)
        if side is None and (not case.split or case.split in lists):
            unlisted.add(case.patient_key)
        elif side is not None and case.split and case.split != side:
            rejects.add(
                case.item,
                "image",
                f"Folder and patient list disagree. Expected {side}, as the list. "
                f"Received {case.split}.",
            )
        else:
            kept.append(replace(case, split=side or case.split))
    facts["patients_of_no_list"] = len(unlisted)
    return kept


def _with_keys(
    cases: list[ImageCase], patient_ids_in_paths: bool, facts: dict[str, Any]
) -> list[ImageCase]:
    private = sorted({case.patient_key for case in cases if not is_public(case.patient_key)})
    if not private:
        return cases
    if not patient_ids_in_paths:
        raise SourceError(
            f"The file names hold the ids of {len(private)} patients",
            expected="pseudonyms of CBIS-DDSM (P_00001) or INbreast (16 hexadecimal digits)",
            received="others; paths are written into tables and messages",
            hint="If these names may be seen, set source.folders.patient_ids_in_paths to true",
        )
    key = site_key()
    facts["site_key"] = fingerprint(key)
    keys: dict[str, str] = defaultdict(str, {one: patient_key(key, one) for one in private})
    return [
        replace(case, patient_key=keys.get(case.patient_key, case.patient_key)) for case in cases
    ]
