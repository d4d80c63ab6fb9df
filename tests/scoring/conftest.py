import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from tests.support.drawings import draw_breast

# Planted where a real file has the patient's name; no output may contain it.
PATIENT = "PLANTED^PATIENT"


def write_dicom(
    path,
    pixels,
    *,
    bits=12,
    laterality="L",
    view="CC",
    modality="MG",
    patient="",
    study="",
    **fields,
):
    """Write a For Presentation mammogram (PS3.3 A.26) with an uncompressed frame."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.PatientName, dataset.PatientID = PATIENT, patient or PATIENT
    if study:
        dataset.StudyInstanceUID = study
    dataset.Modality = modality
    dataset.ImageLaterality, dataset.ViewPosition = laterality, view
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_png(path, pixels):
    """Write a gray PNG of 8 or 16 bits (chunks IHDR, IDAT, IEND)."""
    depth = pixels.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))
    return path


@pytest.fixture(scope="session")
def write():
    return SimpleNamespace(dicom=write_dicom, png=write_png, breast=draw_breast, patient=PATIENT)


def build_package(folder, channels=1, size=(48, 36), **changes):
    """Build a package of an untrained network whose probability depends on the pixels."""
    from mammo_core.packaging import build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing

    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    image = keras.Input((*size, channels))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.LayerNormalization()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    options = {
        "name": "scoring-test",
        "image_model": model,
        "preprocessing": Preprocessing(
            geometry=Geometry(height=size[0], width=size[1]), mean=100.0, channels=channels
        ),
        "label_map": {"neg": 0, "pos": 1},
        "samples": np.random.default_rng(0).integers(0, 65536, (2, *size)).astype(np.uint16),
    }
    build(folder, **{**options, **changes})
    return folder


@pytest.fixture(scope="session")
def make_package():
    """The function `build_package`."""
    return build_package


@pytest.fixture(scope="session")
def package_folder(tmp_path_factory):
    return build_package(tmp_path_factory.mktemp("model") / "package")


@pytest.fixture(scope="session")
def package(package_folder):
    from mammo_core.packaging import load

    return load(package_folder)
