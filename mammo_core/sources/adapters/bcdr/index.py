"""Read BCDR: a table of images and a table of outlined lesions for each of its sets.

Cells begin with blanks. Views are RCC, LCC, RO and LO (oblique) in the table of images, where
`image_type_id` counts from 0; the table of outlines counts `image_view` from 1. Lesions are proven
by biopsy.
"""

import re
from collections import Counter, defaultdict
from typing import Final, Literal
from urllib.parse import quote

from mammo_core.errors import SourceError
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.age_bands import stated_age_band
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, ImageCase, LesionCase, Targets
from mammo_core.sources.lesions.mask_shapes import POLYGON
from mammo_core.sources.published.birads import read_density
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import read_table_at
from mammo_core.sources.tables.source_tables import Rejects

_IMAGES: Final = re.compile(r"bcdr_(?P<set>[a-z]+\d*)_img\.csv", re.IGNORECASE)
_IMAGE_COLUMNS: Final = ("patient_id", "study_id", "image_filename", "image_type_name")
_OUTLINE_COLUMNS: Final = (
    "image_filename", "lw_x_points", "lw_y_points", "classification",
)  # fmt: skip
_FLAGS: Final[tuple[tuple[str, Literal["mass", "calc"]], ...]] = (
    ("mammography_nodule", "mass"),
    ("mammography_calcification", "calc"),
    ("mammography_microcalcification", "calc"),
)
_OTHER_FLAGS: Final = (
    "mammography_axillary_adenopathy",
    "mammography_architectural_distortion",
    "mammography_stroma_distortion",
)
_VIEWS: Final = {
    "RCC": ("RIGHT", "CC"), "LCC": ("LEFT", "CC"), "RO": ("RIGHT", "MLO"), "LO": ("LEFT", "MLO"),
    "RMLO": ("RIGHT", "MLO"), "LMLO": ("LEFT", "MLO"),
}  # fmt: skip
_LABELS: Final = {"malign": 1, "malignant": 1, "benign": 0}

Cells = dict[str, str]


def read_bcdr(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read the images of every set of BCDR that is there, with their outlines.

    Args:
        config: The source (`tables`: the folder of the tables; by default under the root).
        files: The files under its root; None reads the tables only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: There is no table of images, or one is not as published.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    uri = config.tables or config.root
    listing = SourceFiles.open(uri.rpartition("/")[0] if uri.endswith(".csv") else uri)
    cases: list[ImageCase] = []
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    images = _by_name(files)
    for path in listing.names():
        match = _IMAGES.fullmatch(path.rsplit("/", 1)[-1])
        if match is None:
            continue
        folder, _, name = path.rpartition("/")
        other = f"{folder}/{name[:-8]}_outlines.csv".lstrip("/")
        outlines = next((n for n in listing.names() if n.lower() == other.lower()), None)
        cases += _read_set(match["set"].lower(), listing, path, outlines, images, counts, rejects)
    if not cases and not rejects.rows:
        raise SourceError(
            f"No table of BCDR is under {uri}",
            expected="bcdr_<set>_img.csv, such as bcdr_d01_img.csv",
            received="none",
            hint="Name its folder with source.tables (--tables)",
        )
    return Reading(
        cases, rejects, {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    )


def _read_set(
    name: str,
    listing: SourceFiles,
    path: str,
    outlines: str | None,
    images: dict[str, list[str]],
    counts: "dict[str, Counter[str]]",
    rejects: Rejects,
) -> list[ImageCase]:
    by_image = _read_outlines(_uri(listing, outlines), counts, rejects) if outlines else {}
    table = read_table_at(_uri(listing, path), _IMAGE_COLUMNS, ("density", "age"))
    rows: list[tuple[str, Cells]] = []
    for item, cells in table.rows(rejects):
        if cells["image_type_name"].upper() in _VIEWS and cells["patient_id"]:
            rows.append((item, cells))
            continue
        rejects.add(
            item,
            "row",
            "The row cannot be used. Expected a patient_id and image_type_name RCC, LCC, RO or LO. "
            "Received another value.",
        )
    labels: dict[tuple[str, str, str], int] = {}
    for _, cells in rows:
        for label, _ in by_image.get(_file_key(cells["image_filename"]), []):
            breast = _breast(cells)
            labels[breast] = max(label, labels.get(breast, 0))
    cases: list[ImageCase] = []
    for item, cells in rows:
        lesions = tuple(
            lesion
            for _, lesion in by_image.get(_file_key(cells["image_filename"]), [])
            if lesion is not None
        )
        laterality, view = _VIEWS[cells["image_type_name"].upper()]
        # A set without outlines is one of normal breasts; else a breast without one has no result.
        label = labels.get(_breast(cells), UNKNOWN_LABEL if outlines else 0)
        counts["sets"][name] += 1
        cases.append(
            ImageCase(
                item=item,
                paths=_find(images, path, cells["image_filename"]),
                patient_key=f"{name}-{cells['patient_id']}",
                laterality=laterality,
                view=view,
                malignant=label,
                breast_density=read_density(cells.get("density", "")) or 0,
                lesions=lesions,
                exam_key=cells["study_id"],
                targets=Targets(
                    label_origin="biopsy" if _breast(cells) in labels else "",
                    age_band=stated_age_band(cells.get("age", "")),
                ),
            )
        )
    return cases


def _read_outlines(
    uri: str, counts: "dict[str, Counter[str]]", rejects: Rejects
) -> dict[str, list[tuple[int, LesionCase | None]]]:
    """Return the label of each outline of an image, and its lesion where it has a type."""
    flags = tuple(name for name, _ in _FLAGS)
    table = read_table_at(uri, _OUTLINE_COLUMNS, (*flags, *_OTHER_FLAGS))
    outlines: dict[str, list[tuple[int, LesionCase | None]]] = defaultdict(list)
    for item, cells in table.rows(rejects):
        label = _LABELS.get(cells["classification"].lower())
        corners = _corners(cells)
        if label is None or corners is None:
            rejects.add(
                item,
                "lesion",
                "The outline cannot be used. Expected classification Benign or Malign, and as "
                "many x as y of three corners or more. Received another row.",
            )
            continue
        stated = [kind for flag, kind in _FLAGS if cells.get(flag, "") == "1"]
        kinds = list(dict.fromkeys(stated))
        key = _file_key(cells["image_filename"])
        if not kinds:
            counts["other_regions"]["neither mass nor calcification"] += 1
            outlines[key].append((label, None))
        for kind in kinds:
            outlines[key].append(
                (
                    label,
                    LesionCase(
                        item=item,
                        number=1 + len(outlines[key]),
                        lesion_type=kind,
                        pathology="MALIGNANT" if label else "BENIGN",
                        mask_path=POLYGON + ",".join(map(str, corners)),
                    ),
                )
            )
    return outlines


def _corners(cells: Cells) -> list[int] | None:
    xs, ys = (re.split(r"[\s,;]+", cells[name].strip()) for name in ("lw_x_points", "lw_y_points"))
    if len(xs) != len(ys) or not 3 <= len(xs) <= 10_000:
        return None
    if not all(re.fullmatch(r"\d{1,5}", text) for text in (*xs, *ys)):
        return None
    return [int(text) for pair in zip(xs, ys, strict=True) for text in pair]


def _breast(cells: Cells) -> tuple[str, str, str]:
    return cells["patient_id"], cells["study_id"], _VIEWS[cells["image_type_name"].upper()][0]


def _file_key(name: str) -> str:
    return name.replace("\\", "/").strip().removeprefix("./").lower()


def _by_name(files: SourceFiles | None) -> dict[str, list[str]]:
    """Return the files by the last part of their names."""
    images: dict[str, list[str]] = defaultdict(list)
    for path in files.names() if files is not None else ():
        images[path.rsplit("/", 1)[-1].lower()].append(path)
    return images


def _find(images: dict[str, list[str]], table: str, name: str) -> tuple[str, ...]:
    """Return the file of an image: its name is relative to the folder of the table."""
    name_in_table = _file_key(name)
    folder = table.rpartition("/")[0].lower()
    near = f"{folder}/{name_in_table}".lstrip("/")
    candidates = images.get(name_in_table.rsplit("/", 1)[-1], [])
    paths = [path for path in candidates if path.lower().endswith(name_in_table)]
    return tuple([path for path in paths if path.lower().endswith(near)] or paths)


def _uri(files: SourceFiles, path: str) -> str:
    return f"{files.uri.rstrip('/')}/{quote(path) if files.folder is not None else path}"
