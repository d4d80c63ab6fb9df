"""The bytes of a dataset id: they change with the revision, or not at all.

When a test here fails, the step writes other bytes than before for the same input. If that is
intended, raise the revision of IMAGE_DATASET or PATCH_DATASET
(mammo_core/ingest/kinds.py), and write the new revision and digest here.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.ingest.sample import sample
from mammo_core.sampling import SamplingConfig
from tests.support.ingest import Source, convert_tables

CONVERT_GOLDEN = (6, "79089d67a37c9e86ca082f0bf44434b2c76d4d7f7667e663b2d8e91f3c64f30c")
SAMPLE_GOLDEN = (4, "9971ee34760085bfc5c2fc4f075025a6669b0d5fb629c4295dd6ebbbd50266f5")


def _write(path, pixels, bits, number):
    dataset = Dataset()
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number}"
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.ImageLaterality, dataset.ViewPosition = "L", "CC"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # Fixed, not the library's version: the digest of the file is the image's id.
    dataset.file_meta.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.0"
    dataset.file_meta.ImplementationVersionName = "TEST"
    dataset.save_as(path, enforce_file_format=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def dataset(file_store, tmp_path):
    """Two computed images of 12 and 16 bits, one of them with two lesions."""
    rows, columns = np.mgrid[:120, :90]
    images, lesions = [], []
    for number, bits in enumerate((12, 16)):
        top = 2**bits - 1
        inside = (rows - 60) ** 2 + columns**2 < 55**2
        texture = (rows * 37 + columns * (101 + number) + rows * columns) % (top // 2)
        pixels = np.where(inside, top // 3 + texture, 0)
        name = f"image_{number}.dcm"
        image_id = _write(tmp_path / name, pixels, bits, number + 1)
        images.append({"image_id": image_id, "path": name})
        for lesion in range(2 if number == 0 else 0):
            mask = (rows - 40 - 30 * lesion) ** 2 + (columns - 20 - 5 * lesion) ** 2 < 81
            name = f"mask_{number}_{lesion}.dcm"
            digest = _write(tmp_path / name, mask * 255, 8, 10 + lesion)
            lesions.append(
                {
                    "lesion_id": f"lesion_{lesion}",
                    "image_id": image_id,
                    "mask_path": name,
                    "mask_sha256": digest,
                }
            )
    source = Source(tmp_path, pd.DataFrame(images), pd.DataFrame(lesions), pd.DataFrame())
    return convert_tables(file_store, source, height=60, width=48)


def _shard(manifest):
    (file,) = manifest.files_like("shard-")
    return file.sha256


def test_image_records_keep_their_bytes(dataset):
    assert dataset.counts["images"] == 2 and dataset.counts["lesions"] == 2
    assert (IMAGE_DATASET.revision, _shard(dataset)) == CONVERT_GOLDEN, __doc__


def test_patch_records_keep_their_bytes(file_store, dataset):
    config = SamplingConfig(
        patch_size=16, lesion_patches=3, background_patches=4, hard_negatives=0, near_lesion=1
    )
    manifest = sample(file_store, dataset, config, 7, RunnerConfig(workers=1))
    # 3 patches in and 1 near each of two lesions; 4 background patches of each of two images.
    assert manifest.counts["patches"] == 16
    assert (PATCH_DATASET.revision, _shard(manifest)) == SAMPLE_GOLDEN, __doc__
