"""Fixtures of the service; helpers of this folder are importable by its tests."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.drawings import draw_breast
from tests.support.processes import start_child, wait_until

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def served_package(tmp_path_factory):
    """A published package with an operating point, in a registry."""
    from mammo_core.evaluation.decisions import DecisionRules, LevelRules, NamedPoint
    from mammo_core.metrics import Calibration
    from mammo_core.packaging import TrainingData, build
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.preprocessing import Geometry, Preprocessing
    from mammo_core.registry import push
    from mammo_core.store import open_store

    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    image = keras.Input((48, 36, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.LayerNormalization()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    root = tmp_path_factory.mktemp("served")
    point = NamedPoint(name="specificity-0.80", threshold=0.4, sensitivity=0.7, specificity=0.8)
    build(
        root / "package",
        name="served",
        image_model=model,
        preprocessing=Preprocessing(geometry=Geometry(height=48, width=36), mean=100.0),
        label_map={"neg": 0, "pos": 1},
        rules=DecisionRules(
            image=LevelRules(
                calibration=Calibration(method="platt", slope=0.5, intercept=-1.0),
                operating_points=(point,),
            )
        ),
        training_data=TrainingData(views=("CC",)),
    )
    store = open_store(f"file://{root}/store")
    push(store, root / "package", "whole-image")
    return f"{store.uri}/models/whole-image"


@pytest.fixture(scope="session")
def package(served_package):
    from mammo_core.registry import open_package

    return open_package(served_package).load()


class Server:
    """`mammo serve` in a separate process."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.port = self.health_port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def is_announced(self):
        """Read the ports from the log; return whether the server says that it serves."""
        text = self.log.read_text()
        assert self.process.poll() is None, text[-2000:]
        if health := re.search(r"health and metrics at port (\d+)", text):
            self.health_port = int(health[1])
        if served := re.search(r"serving at http://127\.0\.0\.1:(\d+)\n", text):
            self.port = int(served[1])
        return self.port

    def stop(self):
        self.process.send_signal(signal.SIGTERM)

    def memory_mb(self):
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture(scope="session")
def start(served_package, tmp_path_factory):
    """Return a context manager that starts a server and waits until it says that it serves."""
    from contextlib import contextmanager

    @contextmanager
    def start_server(*options, model=served_package):
        log = tmp_path_factory.mktemp("serve") / "log"
        # Like the command `mammo`, from this source tree.
        code = "from mammo_core.cli import main; main()"
        command = [sys.executable, "-c", code, "serve", "--model", model, "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (
            log.open("wb") as file,
            start_child([*command, *options], stdout=file, stderr=file, env=environment) as process,
        ):
            server = Server(process, log)
            wait_until(server.is_announced, 300)
            yield server

    return start_server


@pytest.fixture(scope="session")
def dicom_bytes(tmp_path_factory):
    """Return a function that returns the bytes of a For Presentation mammogram."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        DigitalMammographyXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
    )

    def make(seed=0, modality="MG", shape=(96, 72), view="CC", **fields):
        dataset = Dataset()
        dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
        dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
        dataset.PatientName = dataset.PatientID = "PLANTED^PATIENT"
        dataset.Modality, dataset.PresentationIntentType = modality, "FOR PRESENTATION"
        dataset.ImageLaterality, dataset.ViewPosition = "L", view
        dataset.Rows, dataset.Columns = shape
        dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        pixels = draw_breast(seed, shape=shape)
        dataset.PixelData = pixels.astype("<u2").tobytes()
        for name, value in fields.items():
            setattr(dataset, name, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = tmp_path_factory.mktemp("dicom") / "x.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path.read_bytes()

    return make
