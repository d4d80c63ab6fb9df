"""The archive of a hospital: a CSV with German headers, made of a phantom.

Dates name exams, boxes are corners, each patient has two exams, and 30 % of the files are missing.

python -m tests.support.hospital FOLDER [PATIENTS [SIZE]] writes befunde.csv and bilder/.
"""

import sys
from pathlib import Path

import numpy as np

from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.lesions.masks import load_mask

HEADER = (
    "Patientennummer;Untersuchungsdatum;Seite;Aufnahme;Befund;Herdbefund;Ecken;ACR-Dichte;"
    "Bildnummer;Bemerkung"
)
SIDES = {"LEFT": "links", "RIGHT": "rechts"}
TYPES = {"mass": "Rundherd", "calc": "Mikrokalk"}


def write_hospital(folder: Path, patients: int = 30, size: tuple[int, int] = (288, 224)) -> int:
    """Write the archive; return how many of its rows name a file that does not exist."""
    height, width = size
    config = PhantomConfig(patients=2 * patients, seed=7, height=height, width=width)
    create(folder / "phantom", config, workers=1)
    source = SourceConfig(root=str(folder / "phantom"))
    tables, files = index(source), source.files()
    lesions = tables.lesions.groupby("image_id")
    names = sorted(set(tables.images["patient_key"]))
    number = {name: at for at, name in enumerate(names)}
    rows, paths = [], []
    for count, image in enumerate(tables.images.to_dict("records")):
        at = number[image["patient_key"]]
        # Two patients of the phantom are one of the hospital, with an exam each.
        patient = f"{4711 + at // 2:06}"
        day = f"{1 + at // 2 % 28:02}.{3 + 2 * (at % 2):02}.{2019 + 2 * (at % 2)}"
        types, boxes = [], []
        if image["image_id"] in lesions.groups:
            for lesion in lesions.get_group(image["image_id"]).to_dict("records"):
                mask = load_mask(files, lesion["mask_path"], image["rows"], image["columns"])
                y, x = np.nonzero(mask)
                boxes.append(f"{x.min()} {y.min()} {x.max() + 1} {y.max() + 1}")
                types.append(TYPES[lesion["lesion_type"]])
        finding = "bösartig" if image["malignant"] else "unauffällig"
        note = f"Frau M. {patient}" if count % 7 == 0 else ""
        rows.append(
            f"{patient};{day};{SIDES[image['laterality']]};{image['view']};{finding};"
            f"{'|'.join(types)};{', '.join(boxes)};ACR {'ABCD'[image['breast_density'] - 1]};"
            f"IM{count:05};{note}"
        )
        target = folder / "bilder" / patient / f"IM{count:05}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / "phantom" / image["path"]).read_bytes())
        paths.append(target)
    text = "\r\n".join([HEADER, *rows]) + "\r\n"
    (folder / "befunde.csv").write_text(text, encoding="cp1252", newline="")
    missing = np.random.default_rng(7).permutation(len(paths))[: round(0.3 * len(paths))]
    for at in missing:
        paths[at].unlink()
    return len(missing)


if __name__ == "__main__":
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 288
    print(
        write_hospital(
            Path(sys.argv[1]),
            int(sys.argv[2]) if len(sys.argv) > 2 else 30,
            (size, size * 7 // 9),
        ),
        "files are missing",
    )
