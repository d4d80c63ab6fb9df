"""Mutated images through the commands that read images: `python fuzz_images.py FOLDER FILES SEED`.

Prints a JSON object: for each of inspect, index, convert and score, how many files were used and
how many rejected, and the seconds it took; the peak memory of this process and of its children
(MB); faults: a file that is neither used nor rejected, a reason without its three parts, or a
field of a patient in an output. A crash of a command ends this process.
"""

import csv
import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "dicom"))
import fuzz
from dicom_files import PLANTED

#: Of ten files, how many are DICOM files, PNG files and TIFF files.
MIX = ("dicom",) * 8 + ("png", "tiff")
SECRETS = (PLANTED, "PLANTED", "19010203")


def write_files(folder, count, seed):
    """Write different mutated files; returns their names."""
    dicom = fuzz.bases(folder.parent)
    pixels = np.random.default_rng(1).integers(0, 65536, fuzz.SHAPE).astype(np.uint16)
    rasters = {}
    for suffix in ("png", "tiff"):
        cv2.imwrite(str(folder.parent / f"base.{suffix}"), pixels)
        rasters[suffix] = (folder.parent / f"base.{suffix}").read_bytes()
    folder.mkdir()
    names, digests, number = [], set(), 0
    while len(names) < count:
        draw, kind = np.random.default_rng([seed, number]), MIX[number % len(MIX)]
        data = (
            fuzz.mutated(dicom[number % len(dicom)], draw)
            if kind == "dicom"
            else mutated_raster(rasters[kind], draw)
        )
        number += 1
        digest = hashlib.sha256(data).digest()
        if digest in digests:
            continue  # byte-identical files are one image
        digests.add(digest)
        name = f"{number:05}.{'dcm' if kind == 'dicom' else kind}"
        (folder / name).write_bytes(data)
        names.append(name)
    return names


def mutated_raster(base, draw):
    """Return a PNG or TIFF file with flipped bits, extreme bytes in its header, or truncated."""
    data, kind = bytearray(base), draw.integers(0, 3)
    if kind == 0:
        for position in draw.integers(0, len(data), draw.integers(1, 9)):
            data[position] ^= 1 << draw.integers(0, 8)
    elif kind == 1:
        del data[draw.integers(0, len(data)) :]
    else:  # the directory of a TIFF file may be at its end
        area = [*range(4, 64), *range(len(data) - 200, len(data))]
        for position in draw.choice(area, draw.integers(1, 6)):
            data[position] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data)


def inspect(folder, names, work):
    from typer.testing import CliRunner

    from mammo_core.cli.dicom import app

    result = CliRunner().invoke(app, ["inspect", "--json", str(folder)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    faults = check_secrets("inspect", result.stdout)
    readable = sum(line["readable"] for line in lines)
    faults += [line["reason"] for line in lines if not (line["readable"] or line["reason"])]
    return readable, len(lines) - readable, faults


def index(folder, names, work):
    from mammo_core.sources import SourceConfig
    from mammo_core.sources import index as index_files

    rows = [
        f"patient-{number},{name},{'LR'[number % 2]},{('CC', 'MLO')[number % 4 // 2]},{number % 2}"
        for number, name in enumerate(names)
    ]
    table = work / "table.csv"
    table.write_text("\n".join(["patient_id,image_path,laterality,view,label", *rows]) + "\n")
    config = SourceConfig(adapter="table", root=str(folder), tables=str(table))
    tables = index_files(config)
    work.joinpath("images").mkdir()
    tables.images.to_parquet(work / "images" / "images.parquet")
    tables.lesions.to_parquet(work / "images" / "lesions.parquet")
    text = tables.images.to_csv() + tables.rejects.to_csv()
    return (
        len(tables.images),
        len(tables.rejects),
        [
            *check_secrets("index", text),
            *check_reasons(tables.rejects["reason"]),
        ],
    )


def convert(folder, names, work):
    import pandas as pd

    from mammo_core.datasets.tables import read_table
    from mammo_core.imaging.plausibility import FAULTS
    from mammo_core.ingest import ConvertConfig, RunnerConfig
    from mammo_core.ingest import convert as convert_files
    from mammo_core.preprocessing import Geometry
    from mammo_core.store import open_store

    images = pd.read_parquet(work / "images" / "images.parquet")
    lesions = pd.read_parquet(work / "images" / "lesions.parquet")
    store = open_store((work / "store").as_uri())
    manifest = convert_files(
        store,
        images,
        lesions,
        root=str(folder),
        # The files are noise: their gray levels are accepted, so that all of them are converted.
        config=ConvertConfig(
            geometry=Geometry(height=48, width=40), plausibility=dict.fromkeys(FAULTS, "accept")
        ),
        runner=RunnerConfig(workers=1),
        lineage={},
    )
    rejects = read_table(store, manifest, "rejects.parquet")
    used = manifest.counts["images"]
    faults = [*check_secrets("convert", rejects.to_csv()), *check_reasons(rejects["reason"])]
    if used + len(rejects) != len(images):
        faults.append(f"convert: {used} + {len(rejects)} of {len(images)} images")
    # What `index` left out counts as rejected here too.
    return used, len(names) - used, faults


def score(folder, names, work):
    from mammo_core.packaging import build, load
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing
    from mammo_core.scoring import ScoreOptions
    from mammo_core.scoring import score as score_files

    keras = import_keras()
    image = keras.Input((48, 40, 1))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(2, 3, strides=4)(image))
    build(
        work / "package",
        name="fuzz",
        image_model=keras.Model(image, keras.layers.Dense(2, activation="softmax")(x)),
        preprocessing=Preprocessing(geometry=Geometry(height=48, width=40), mean=100.0),
        label_map={"neg": 0, "pos": 1},
    )
    out = work / "scores.csv"
    score_files(load(work / "package"), [folder], out, ScoreOptions(batch_size=32))
    used, rejected = (
        list(csv.DictReader((work / name).open(newline="")))
        for name in ("scores.csv", "scores.rejects.csv")
    )
    text = "".join(path.read_text(errors="replace") for path in work.glob("scores*"))
    reasons = [row["reason"] for row in rejected]
    return len(used), len(rejected), [*check_secrets("score", text), *check_reasons(reasons)]


def check_secrets(command, text):
    return [f"{command}: {secret} in its output" for secret in SECRETS if secret in text]


def check_reasons(reasons):
    parts = ("Expected ", "Received ")
    return [reason for reason in reasons if not all(part in reason for part in parts)]


def main(folder, count, seed):
    os.environ["MAMMO_SITE_KEY"] = "0123456789abcdef" * 2
    files = folder / "files"
    names = write_files(files, count, seed)
    report, faults = {}, []
    for command in (inspect, index, convert, score):
        start = time.monotonic()
        used, rejected, new = command(files, names, folder)
        faults += new
        if used + rejected != count:
            faults.append(f"{command.__name__}: {used} + {rejected} of {count} files")
        report[command.__name__] = {
            "used": used,
            "rejected": rejected,
            "seconds": round(time.monotonic() - start, 1),
        }
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    memory = [used.ru_maxrss // 1024 for used in usage]
    print(json.dumps({**report, "memory_mb": memory, "faults": faults[:20]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
