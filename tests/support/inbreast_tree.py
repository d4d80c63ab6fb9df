"""INbreast trees for tests: the table, 14-bit DICOM files, property lists of contours."""

import plistlib

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.drawings import draw_breast

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
ROWS, COLUMNS = 160, 120
SQUARE = [(30, 40), (60, 40), (60, 80), (30, 80)]
# File name, patient, side, view in the file name, view in the table, ACR, BI-RADS, regions.
CASES = [
    ("20586908", "6c613a14b80a8591", "R", "CC", "CC", "4 ", "5", [("Mass", SQUARE)]),
    ("20586934", "6c613a14b80a8591", "L", "ML", "MLO", "4", "2", []),
    ("20586960", "036aff49b8ac84f0", "R", "ML", "ML", "1", "4a", [
        ("Spiculated Region", SQUARE),
        ("Asymmetry", SQUARE),
        ("", SQUARE),
        ("Cluster", [(70, 100), (100, 100), (100, 130), (70, 130)]),
        ("Calcification", [(80, 110)]),  # within the cluster
        ("Calcification", [(10, 10)]),
        ("Calcification", [(14, 10), (14, 11)]),
        ("Calcification", [(12, 14), (14, 14), (13, 15)]),  # 0.14 mm wide: a single one
    ]),
    ("20586986", "036aff49b8ac84f0", "L", "CC", "CC", "", "1", []),
    ("20587054", "fe7d005dcbbfb46d", "L", "CC", "CC", "2", "3", [("Mass", SQUARE)]),
    ("20587080", "b231a8ba4dd4214f", "L", "CC", "CC", "3", "6", [("Distortion", SQUARE)]),
]  # fmt: skip


def write_dicom(path, seed):
    """Write a mammogram with a name and a date in its header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{seed}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, f"1.2.3.{seed}"
    data.PatientName, data.StudyDate = "Secret^Name", "20100102"
    data.Modality, data.SamplesPerPixel, data.PhotometricInterpretation = "MG", 1, "MONOCHROME2"
    data.Rows, data.Columns = ROWS, COLUMNS
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 14, 13, 0
    pixels = draw_breast(seed, 14, (ROWS, COLUMNS))
    data.PixelData = pixels.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def write_xml(path, regions):
    """Write the contours of named regions, each a list of (x, y)."""
    rois = [
        {
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        }
        for name, points in regions
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]})
    )


def build(root, cases=CASES):
    """Write a tree of cases."""
    lines = [HEADER]
    for seed, (number, patient, side, name_view, view, density, category, regions) in enumerate(
        cases
    ):
        write_dicom(root / f"AllDICOMs/{number}_{patient}_MG_{side}_{name_view}_ANON.dcm", seed)
        if regions:
            write_xml(root / f"AllXML/{number}.xml", regions)
        lines.append(f"removed;removed;{side};{view};201001;{number};{density};{category}")
    (root / "INbreast.csv").write_text("\r\n".join(lines) + "\r\n")
    return root
