"""A small phantom, its tables and a frame, and packages of untrained networks."""

import numpy as np
import pytest

from mammo_core import steps
from mammo_core.datasets import publish
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.packaging.kinds import CANDIDATE, CandidateFacts
from mammo_core.store import open_store
from tests.support.packages import build_small
from tests.support.training_run import begin_run

#: Patients of the phantom → split; the others are in the test split.
FITTED = {"train": 2, "validation": 1}


def put_frame(store, tables, splits, id="f" * 32, shuffled=False):
    """Publish a frame of the images of some tables: patient → split."""
    images = read_table(store, tables, "images.parquet")
    images = images[images["patient_key"].isin(splits)]
    rows = images.rename(columns={"malignant": "label"})
    rows = rows.assign(split=[splits[key] for key in rows["patient_key"]])
    lesions = read_table(store, tables, "lesions.parquet")
    manifest = FRAME.manifest(
        id,
        config={},
        facts=FrameFacts(mean=10.0, rescale_factor=0.004, shuffled_labels=shuffled),
        lineage={"tables": tables.id},
    )
    folder = manifest.folder
    files = (
        put_table(store, folder, "images.parquet", rows),
        put_table(store, folder, "lesions.parquet", lesions),
    )
    return publish(store, manifest.model_copy(update={"files": files}))


def put_candidate(store, folder, id="c" * 32, evaluation="e" * 32):
    """Publish a package folder as the candidate of an evaluation."""
    from mammo_core.packaging import verify
    from mammo_core.packaging.candidate import put_package

    manifest = verify(folder).manifest
    candidate = CANDIDATE.manifest(
        id,
        config={},
        facts=CandidateFacts(model_id=manifest.model_id, name=manifest.name, unit=manifest.unit),
        files=put_package(store, f"candidates/{id}/1", folder),
        lineage={"evaluation": evaluation, "image_training": "t" * 32},
    )
    return publish(store, candidate)


class Scene:
    """A store with the tables of a phantom, a frame, and a run."""

    def __init__(self, folder, root):
        self.root, self.folder = root, folder
        self.store = open_store((folder / "store").as_uri())
        self.run = self.begin("r1")
        self.tables = steps.index(self.run)
        images = read_table(self.store, self.tables, "images.parquet")
        self.images = images
        self.patients = sorted(set(images["patient_key"]))
        names = [name for name, count in FITTED.items() for _ in range(count)]
        names += ["test"] * (len(self.patients) - len(names))
        self.splits = dict(zip(self.patients, names, strict=True))
        self.frame = put_frame(self.store, self.tables, self.splits)

    def begin(self, run_id, *settings):
        recipe = {"source.root": str(self.root), "model_name": "m", "gate.min_auc": "0.0"}
        recipe |= dict(setting.split("=", 1) for setting in settings)
        settings = [f"{key}={value}" for key, value in recipe.items()]
        return begin_run(self.store, run_id, "phantom", settings)

    def duel(self, candidate, frame=None, run=None):
        return steps.duel(
            run or self.run, tables=self.tables, frame=frame or self.frame, candidate=candidate
        )

    def table(self, duel):
        return read_table(self.store, duel, "images.parquet")


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory):
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("duel") / "tree"
    create(root, PhantomConfig(patients=9, seed=5, height=160, width=128), workers=1)
    return root


@pytest.fixture(scope="session")
def _tables(phantom_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    return Scene(folder, phantom_root)


@pytest.fixture
def scene(_tables, tmp_path):
    """A scene of its own: a copy of the tables and the frame, and no model."""
    import shutil

    shutil.copytree(_tables.folder / "store", tmp_path / "store")
    return Scene(tmp_path, _tables.root)


@pytest.fixture(scope="session")
def challenger(tmp_path_factory):
    """The folder of a package of single images."""
    return build_small(tmp_path_factory.mktemp("challenger") / "package", seed=1)


@pytest.fixture(scope="session")
def champion(tmp_path_factory):
    """A package with another conversion, geometry, averaging and intensity."""
    from mammo_core.evaluation.decisions import DecisionRules
    from mammo_core.preprocessing import Conversion, Geometry, Preprocessing

    return build_small(
        tmp_path_factory.mktemp("champion") / "package",
        seed=2,
        size=(64, 40),
        preprocessing=Preprocessing(
            geometry=Geometry(height=64, width=40, resize="pad", interpolation="linear"),
            mean=30.0,
            intensity="image_max",
            conversion=Conversion(stretch="min_max", orientation="chest_right"),
        ),
        rules=DecisionRules(flips=True, translation=2),
        samples=np.random.default_rng(0).integers(0, 65536, (2, 64, 40)).astype(np.uint16),
    )
