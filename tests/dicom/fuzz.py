"""Read mutated files in a separate process: `python fuzz.py FOLDER FILES SEED`.

Prints one JSON object: the numbers of files read and rejected, unexpected errors, the time of the
slowest file (seconds), and the peak memory of this process and of the decoding processes (bytes).
"""

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from dicom_files import mammogram, recode, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from mammo_core.dicom import read_image
from mammo_core.dicom.codecs.decoders import DECODERS
from mammo_core.errors import DicomError

SHAPE = (96, 80)


def bases(folder):
    """Return the files to mutate: raw, JPEG lossless, RLE, JPEG 2000, many facts in the header."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    noise = np.random.default_rng(1).integers(0, 64, SHAPE)
    words = ((x * 20 + y * 15 + noise) % 4096).astype(np.uint16)
    raw = save(mammogram(words, WindowCenter="2048", WindowWidth="4096"), folder / "raw.dcm")
    paths = [raw, recode(raw, folder / "lossless.dcm", "1.2.840.10008.1.2.4.70")]
    for syntax, name in ((RLELossless, "rle"), (JPEG2000Lossless, "2000")):
        data = mammogram(words)
        data.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        data.save_as(folder / f"{name}.dcm", enforce_file_format=True)
        paths.append(folder / f"{name}.dcm")
    paths.append(save(stated(words), folder / "stated.dcm", ImplicitVRLittleEndian))
    return [path.read_bytes() for path in paths]


def stated(words):
    """Return a data set that states what the image is in every field that is read."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        "R-10242",
        "SRT",
        "cranio-caudal",
    )
    modifier = Dataset()
    modifier.CodeValue, modifier.CodeMeaning = "R-102D6", "Magnification"
    item.ViewModifierCodeSequence = Sequence([modifier])
    data = mammogram(
        words.astype(np.int32) - 1024,
        13,
        PixelRepresentation=1,
        ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
        ViewCodeSequence=Sequence([item]),
        SeriesDescription="R CC mag ID",
        PaddleDescription="10CM SPOT",
        BodyPartExamined="BREAST",
        PatientOrientation=["P", "L"],
        EstimatedRadiographicMagnificationFactor="1.8",
        RescaleIntercept="1024",
        RescaleSlope="1",
    )
    data.add_new("PixelPaddingValue", "SS", -1024)
    return data


def mutated(base, draw):
    """Return a file with one mutation: flipped bits, truncation, or an edit of a header."""
    data = bytearray(base)
    start = base.index(b"\xe0\x7f\x10\x00")
    kind = draw.integers(0, 5)
    if kind == 0:
        for position in draw.integers(128, len(data), draw.integers(1, 9)):
            data[position] ^= 1 << draw.integers(0, 8)
    elif kind == 1:
        del data[draw.integers(0, len(data)) :]
    elif kind == 2:  # the header: bytes become extreme values
        for position in draw.integers(132, start + 12, draw.integers(1, 5)):
            data[position] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
    elif kind == 3:  # the start of the frame, where codecs read sizes
        for position in draw.integers(start + 12, min(start + 160, len(data)), draw.integers(1, 5)):
            data[position] = draw.integers(0, 256)
    else:  # a piece is lost or duplicated
        start, length = draw.integers(132, len(data)), draw.integers(1, 64)
        piece = data[start : start + length]
        data[start : start + length] = b"" if draw.integers(0, 2) else piece * 2
    return bytes(data)


def main(folder, files, seed):
    originals = bases(folder)
    counts = Counter()
    unexpected, slowest = [], 0.0
    path = folder / "mutated.dcm"
    for number in range(files):
        draw = np.random.default_rng([seed, number])
        path.write_bytes(mutated(originals[number % len(originals)], draw))
        start = time.monotonic()
        try:
            read_image(path, "mutated.dcm", voi=bool(draw.integers(0, 2)))
            counts["read"] += 1
        except DicomError as error:
            counts["rejected"] += 1
            text = str(error)
            if not text.startswith("mutated.dcm ") or "PLANTED" in text:
                unexpected.append(f"{number}: {text}")
            counts["crashed"] += "crash their codec" in text
            counts["hung"] += "too long" in text
        except BaseException as error:
            unexpected.append(f"{number}: {type(error).__name__} {error}")
        slowest = max(slowest, time.monotonic() - start)
    DECODERS.close()
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    memory = [1024 * used.ru_maxrss for used in usage]
    print(json.dumps({**counts, "unexpected": unexpected, "slowest": slowest, "memory": memory}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
