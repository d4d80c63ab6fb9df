"""Read MIAS: `Info.txt` with a line for each abnormality, and `mdbNNN.pgm`.

A line is `mdb001 G CIRC B 535 425 197`: image, background tissue, class, severity, and center and
radius of a circle; the origin of coordinates is the lower left corner. Films come in pairs of one
woman, the left breast with an odd number and the right one with the next: nothing else tells
patients and sides. All views are MLO.
"""

import re
from collections import Counter, defaultdict
from typing import Final, Literal

from mammo_core.documents import DocumentError, read_bounded
from mammo_core.errors import SourceError
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.image_files import describe
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, LesionCase
from mammo_core.sources.published.images import ImageFinder
from mammo_core.sources.published.published import Reading
from mammo_core.sources.tables.csv_table import split_uri
from mammo_core.sources.tables.source_tables import Rejects

_MAXIMUM_BYTES: Final = 2**20
_LINE: Final = re.compile(
    r"(?P<image>mdb(?P<number>\d{3}))[a-z]*\s+(?P<tissue>[FGD])\s+"
    r"(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)(?:\s+(?P<severity>[BM]))?"
    r"(?:\s+(?P<x>\d{1,4})\s+(?P<y>\d{1,4})\s+(?P<radius>\d{1,4}))?(?:\s+\*NOTE.*)?\s*",
    re.IGNORECASE,
)
#: Class of an abnormality → type of a lesion. Distortion and asymmetry have no patch class.
_TYPES: Final[dict[str, Literal["mass", "calc"]]] = {
    "CALC": "calc", "CIRC": "mass", "SPIC": "mass", "MISC": "mass",
}  # fmt: skip
_MARGINS: Final = {"CIRC": "CIRCUMSCRIBED", "SPIC": "SPICULATED", "MISC": "ILL_DEFINED"}


def read_mias(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read images and abnormalities of MIAS.

    Args:
        config: The source.
        files: The files under its root; None reads the list only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: There is no list of abnormalities.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    abnormalities = _read_list(config, rejects)
    finder = ImageFinder(files, lambda stem: stem.lower()[:6])
    cases: list[ImageCase] = []
    kinds: Counter[str] = Counter()
    tissues: Counter[str] = Counter()
    without_place = 0
    for image, matches in sorted(abnormalities.items()):
        paths = finder.find(image)
        number = int(matches[0]["number"])
        rows = _rows(files, paths)
        kinds.update(match["kind"].upper() for match in matches)
        tissues[matches[0]["tissue"].upper()] += 1
        lesions: list[LesionCase] = []
        types: set[str] = set()
        for match in matches:
            lesion_type = _TYPES.get(match["kind"].upper())
            if lesion_type is None:
                continue
            types.add(lesion_type)
            if not match["x"]:
                without_place += 1
            elif rows:
                lesions.append(_lesion(image, match, lesion_type, len(lesions) + 1, rows))
        first = number - (number + 1) % 2
        cases.append(
            ImageCase(
                item=image,
                paths=paths,
                patient_key=f"mdb{first:03d}-{first + 1:03d}",
                laterality="LEFT" if number % 2 else "RIGHT",
                view="MLO",
                malignant=int(any((m["severity"] or "").upper() == "M" for m in matches)),
                lesion_types=frozenset(types),
                lesions=tuple(lesions),
            )
        )
    counts = {
        "classes": dict(sorted(kinds.items())),
        "background_tissues": dict(sorted(tissues.items())),
        "abnormalities_without_a_place": without_place,
        "files_without_a_row": finder.unnamed,
    }
    return Reading(cases, rejects, counts)


def _rows(files: SourceFiles | None, paths: tuple[str, ...]) -> int:
    """Return the height of an image, from which y is counted up; 0 where there is none."""
    if files is None or not paths:
        return 0
    facts = describe(files, paths[0]).facts
    return facts.rows if facts is not None else 0


def _lesion(
    image: str,
    match: "re.Match[str]",
    lesion_type: Literal["mass", "calc"],
    number: int,
    rows: int,
) -> LesionCase:
    severity = match["severity"].upper() if match["severity"] else ""
    down = min(max(rows - int(match["y"]), 0), rows - 1)
    return LesionCase(
        item=f"{image} abnormality {number}",
        number=number,
        lesion_type=lesion_type,
        pathology={"M": "MALIGNANT", "B": "BENIGN"}.get(severity, ""),
        mask_path=f"circle:{int(match['x'])},{down},{max(1, int(match['radius']))}",
        mass_margins=_MARGINS.get(match["kind"].upper(), ""),
    )


def _read_list(config: SourceConfig, rejects: Rejects) -> "dict[str, list[re.Match[str]]]":
    text, name = _read_text(config)
    by_image: dict[str, list[re.Match[str]]] = defaultdict(list)
    for line, words in enumerate(text.splitlines(), start=1):
        if not re.match(r"\s*mdb\d{3}", words, re.IGNORECASE):
            continue  # the file begins with its own description
        match = _LINE.fullmatch(words.strip())
        if match is None:
            rejects.add(
                f"{name} line {line}",
                "row",
                "The line cannot be read. Expected `mdb001 G CIRC B 535 425 197`. "
                "Received another form.",
            )
            continue
        by_image[match["image"].lower()].append(match)
    if not by_image:
        raise SourceError(
            f"{name} is not the list of abnormalities of MIAS",
            expected="lines such as `mdb001 G CIRC B 535 425 197`",
            received="none",
        )
    return by_image


def _read_text(config: SourceConfig) -> tuple[str, str]:
    uri = config.tables or config.root
    if uri.lower().endswith(".txt"):
        files, path = split_uri(uri)
    else:
        files = SourceFiles.open(uri)
        names = [n for n in files.names() if n.rsplit("/", 1)[-1].lower() == "info.txt"]
        if len(names) != 1:
            raise SourceError(
                f"There is no single list of abnormalities of MIAS under {uri}",
                expected="one Info.txt",
                received=", ".join(names[:3]) or "none",
                hint="Name it with source.tables",
            )
        path = names[0]
    name = path.rsplit("/", 1)[-1]
    try:
        with files.as_local_file(path) as local:
            return read_bounded(local, _MAXIMUM_BYTES).decode("latin-1"), name
    except (FileNotFoundError, NotADirectoryError, DocumentError) as error:
        raise SourceError(
            f"The list {name} cannot be read",
            expected="Info.txt of MIAS",
            received=getattr(error, "received", "no such file"),
        ) from error
