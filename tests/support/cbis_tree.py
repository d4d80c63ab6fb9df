"""Build a small CBIS-DDSM tree from real images and real table rows.

Six mammograms of three patients (../shared/data/cbis_ddsm_png), as uncompressed DICOM files in
every folder that the four tables name for their views, with the rows of those patients byte by
byte. Masks are drawn (the real ones are not available): ellipses, 8 bit, 0 and 255; crops are
cut from the image. The table of calcifications, train, has no row of the three patients: read
the tree with `SourceConfig(..., partial=True)`.
"""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

TABLES = "csv"
_DIGITAL_MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def build(root: Path, real_data: Path, distinct: bool = False) -> None:
    """Write the tree.

    Args:
        root: New folder; the tables go into its `csv`.
        real_data: The folder of real data, ../shared/data.
        distinct: Whether a view's files in several folders differ in their bytes
            (their UIDs); otherwise they are byte-identical.
    """
    root, real_data = Path(root), Path(real_data)
    images = {
        file.stem.split("_", 1)[1]: cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        for file in sorted((real_data / "cbis_ddsm_png").glob("*.png"))
    }
    patients = {"_".join(name.split("_")[:2]).encode() for name in images}
    (root / TABLES).mkdir(parents=True, exist_ok=True)
    number = 0
    for table in sorted((real_data / "cbis_ddsm_csv").glob("*.csv")):
        header, *records = _records(table.read_bytes())
        kept = [record for record in records if record.split(b",", 1)[0] in patients]
        (root / TABLES / table.name).write_bytes(b"".join([header, *kept]))
        text = b"".join([header, *kept]).decode()
        for row in csv.DictReader(io.StringIO(text, newline="")):
            cells = {name: cell.strip() for name, cell in row.items()}
            view = "_".join(cells[n] for n in ("patient_id", "left or right breast", "image view"))
            if view not in images:
                raise ValueError(f"no image of {view}")
            _write_row(root, cells, view, images[view], number, distinct)
            number += 1


def _records(raw: bytes) -> list[bytes]:
    """Split a CSV file into records of bytes: a line that ends inside quotes continues."""
    records: list[bytes] = []
    open_quotes = False
    for line in raw.splitlines(keepends=True):
        if open_quotes:
            records[-1] += line
        else:
            records.append(line)
        open_quotes ^= line.count(b'"') % 2 == 1
    return records


def _write_row(
    root: Path, cells: dict[str, str], view: str, image: np.ndarray, number: int, distinct: bool
) -> None:
    path = cells["image file path"]
    _write(root / path, image, path if distinct else view, _DIGITAL_MAMMOGRAPHY)
    rows, columns = image.shape
    # Somewhere in the breast: the brightest of its coarse blocks.
    small = cv2.resize(image, (columns // 64, rows // 64), interpolation=cv2.INTER_AREA)
    _, _, _, (x, y) = cv2.minMaxLoc(small)
    x, y = x * 64 + 32, y * 64 + 32
    axes = (30 + 6 * (number % 3), 44)
    y = min(max(y + 80 * (number % 2), axes[1]), rows - axes[1] - 1)
    x = min(max(x, axes[0]), columns - axes[0] - 1)
    mask = np.zeros(image.shape, np.uint8)
    cv2.ellipse(mask, (x, y), axes, 15.0, 0, 360, 255, -1)
    box = cv2.boundingRect(mask)
    crop = image[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
    paths = [cells["ROI mask file path"], cells["cropped image file path"]]
    if number % 2:  # In about half of the official rows the names do not identify the file.
        paths.reverse()
    _write(root / paths[0], mask, paths[0], _SECONDARY_CAPTURE)
    _write(root / paths[1], crop, paths[1], _SECONDARY_CAPTURE)


def _write(path: Path, pixels: np.ndarray, name: str, sop_class: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Modality = "MG"
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.PixelRepresentation = 0
    data.PixelData = np.ascontiguousarray(pixels).astype(f"<u{bits // 8}").tobytes()
    data["PixelData"].VR = "OW" if bits == 16 else "OB"
    if len(data.PixelData) % 2:
        data.PixelData += b"\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
