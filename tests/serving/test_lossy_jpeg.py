"""JPEG pictures in the service and in `score`: only packages trained on them take them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mammo_core.packaging import load
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from tests.support.packages import build_small


def draw():
    """A drawn breast at the left: `(128, 96) uint8`."""
    y, x = np.mgrid[-1:1:128j, 0:1:96j]
    noise = np.random.default_rng(1).normal(0, 8, y.shape)
    tissue = 140 + 60 * np.cos(3 * y) + noise
    return np.where(y**2 + (x / 0.8) ** 2 < 0.9, tissue, 0).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "P_00001_LEFT_CC.jpg"
    Image.fromarray(draw()).save(path, "JPEG", quality=95)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A package trained without JPEG pictures, and one trained on them."""
    root = tmp_path_factory.mktemp("packages")
    folders = {}
    for lossy in (False, True):
        conversion = Conversion(lossy_jpeg=lossy)
        preprocessing = Preprocessing(
            geometry=Geometry(height=64, width=40), mean=30.0, conversion=conversion
        )
        samples = np.random.default_rng(0).integers(0, 65536, (2, 64, 40)).astype(np.uint16)
        folders[lossy] = build_small(
            root / str(lossy), seed=1, size=(64, 40), preprocessing=preprocessing, samples=samples
        )
    return folders


def client_of(packages):
    app = create_app(ScoringModel.from_packages(packages), "m", "1", ServeConfig(max_images=2))
    return TestClient(app, base_url="http://127.0.0.1")


def test_service_and_command_agree(folders, picture, tmp_path):
    packages = {lossy: load(folder) for lossy, folder in folders.items()}
    content = picture.read_bytes()
    headers = {"content-type": "application/octet-stream"}
    with client_of([packages[True]]) as client:
        answer = client.post("/score", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
    score([packages[True]], [picture], tmp_path / "s.parquet", ScoreOptions())
    row = pd.read_parquet(tmp_path / "s.parquet").iloc[0]
    result = answer.json()
    assert result["malignant_probability"] == pytest.approx(row["malignant_probability"], abs=1e-6)
    assert "lossy" in [warning["code"] for warning in result["warnings"]]
    assert "lossy:" in row["warnings"]
    with client_of([packages[False]]) as client:
        refused = client.post("/score", content=content, headers=headers)
        assert refused.status_code == 422
        assert "JPEG" in refused.text and "trained on it" in refused.text
    # Of several models, each must have been trained on them.
    both = [packages[True], packages[False]]
    with client_of(both) as client:
        assert client.post("/score", content=content, headers=headers).status_code == 422
