"""Score six phantom views in seven forms by a model of the phantom, and judge the answers.

Plain and 8-bit views must agree; signed pixels without negative values score as plain or get no
decision; inverted, constant, noise and 12-in-16 get no decision and say why. Other phantoms than
those of the training are drawn.

    PYTHONPATH=. .venv/bin/python benchmarks/forms.py file://store/models/phantom [--seed N]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammo_core.phantom import PhantomConfig
from mammo_core.phantom.draw import draw_scene, scan_scene
from mammo_core.phantom.plan import plan_views
from mammo_core.registry import open_package
from mammo_core.scoring import score

FORMS = ("plain", "8-bit", "signed", "inverted", "constant", "noise", "12-in-16")
UNDECIDED = ("inverted", "constant", "noise", "12-in-16")
#: Largest difference of probabilities between plain and 8-bit views.
TOLERANCE = 0.02


def write(folder: Path, name: str, pixels: Any, view: Any, signed: bool = False) -> None:
    """Write a DICOM file of 16 bits."""
    data = Dataset()
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    data.Modality, data.PresentationIntentType = "MG", "FOR PRESENTATION"
    data.ImageLaterality, data.ViewPosition = view.laterality[0], view.view
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, int(signed)
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelData = pixels.astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(folder / f"{name}.dcm", data, enforce_file_format=True)


def draw_forms(root: Path, seed: int) -> None:
    """Draw six views of a phantom and write each in seven forms, a folder a form."""
    random = np.random.default_rng(seed)
    config = PhantomConfig(patients=4, seed=seed)
    for form in FORMS:
        (root / form).mkdir()
    for number, view in enumerate(plan_views(config)[:6]):
        plain = scan_scene(config, view, draw_scene(config, view), 0)
        name = f"{number}_{view.laterality}_{view.view}"
        cv2.imwrite(str(root / "8-bit" / f"{name}.png"), (plain // 257).astype(np.uint8))
        write(root / "plain", name, plain, view)
        write(root / "signed", name, plain // 2, view, signed=True)
        write(root / "inverted", name, 65535 - plain, view)
        write(root / "constant", name, np.zeros_like(plain), view)
        write(root / "noise", name, random.integers(0, 65536, plain.shape), view)
        write(root / "12-in-16", name, plain // 16, view)


def judge(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return what is wrong with the answers."""
    wrong = []
    for at in range(6):
        plain, eight, signed = (rows[form][at] for form in ("plain", "8-bit", "signed"))
        if not plain["decision"] or plain["decision"] != eight["decision"]:
            wrong.append(f"plain and 8-bit differ: {plain['path']}")
        if abs(plain["malignant_probability"] - eight["malignant_probability"]) > TOLERANCE:
            wrong.append(f"probabilities of plain and 8-bit differ: {plain['path']}")
        if signed["decision"] not in ("", plain["decision"]):
            wrong.append(f"signed differs: {plain['path']}")
        wrong += [
            f"{form} is decided or does not say why: {rows[form][at]['path']}"
            for form in UNDECIDED
            if rows[form][at]["decision"] or not rows[form][at]["unlike_training"]
        ]
    return wrong


def main() -> None:
    """Score, print a line per form, and exit with 1 if an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seed", type=int, default=101)
    arguments = parser.parse_args()
    package = open_package(arguments.model).load()
    rows: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="mammo-forms-") as folder:
        root = Path(folder)
        draw_forms(root, arguments.seed)
        for form in FORMS:
            out = root / f"{form}.json"
            score(package, [root / form], out)
            rows[form] = json.loads(out.read_text())["images"]
            codes = sorted({item["code"] for row in rows[form] for item in row["unlike_training"]})
            print(
                f"{form:9}",
                *(
                    f"{row['malignant_probability']:.4f} {row['decision'] or '-':8}"
                    for row in rows[form]
                ),
                ", ".join(codes),
            )
    wrong = judge(rows)
    print("\n".join(wrong) or "All answers are as they must be.")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
