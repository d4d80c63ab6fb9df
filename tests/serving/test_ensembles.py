"""Several models as one service; each reads the image its own way."""

import base64
import json
import urllib.request

import numpy as np
import pandas as pd
import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from mammo_core.packaging import load
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.model import ScoringModel
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from tests.support.packages import build_small, build_two_views

URL = "/v2/models/ensemble"
WEIGHTS = (1.0, 3.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models of other geometries and conversions."""
    root = tmp_path_factory.mktemp("members")
    other = Preprocessing(
        geometry=Geometry(height=64, width=40, resize="pad", interpolation="linear"),
        mean=30.0,
        conversion=Conversion(stretch="min_max", orientation="chest_right"),
    )
    return [
        build_small(root / "a", seed=1),
        build_small(
            root / "b",
            seed=2,
            size=(64, 40),
            preprocessing=other,
            samples=np.random.default_rng(0).integers(0, 65536, (2, 64, 40)).astype(np.uint16),
        ),
    ]


@pytest.fixture(scope="module")
def packages(folders):
    return [load(folder) for folder in folders]


def client_of(packages, weights=WEIGHTS):
    model = ScoringModel.from_packages(packages, weights)
    app = create_app(model, "ensemble", "1", ServeConfig(max_images=4))
    return TestClient(app, base_url="http://127.0.0.1")


def scores_of(packages, files, folder, weights=WEIGHTS):
    score(packages, files, folder / "s.parquet", ScoreOptions(weights=weights))
    return pd.read_parquet(folder / "s.parquet").set_index("path")


def bytes_request(contents, name="image"):
    data = [base64.b64encode(each).decode() for each in contents]
    tensor = {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data}
    return {"inputs": [tensor]}


def post(url, data, content_type):
    request = urllib.request.Request(url, data, {"content-type": content_type})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def test_a_running_server_gives_the_scores_of_the_command(
    start, folders, packages, dicom_bytes, tmp_path
):
    files = []
    for seed in range(3):
        files.append(tmp_path / f"{seed}.dcm")
        files[-1].write_bytes(dicom_bytes(seed))
    expected = scores_of(packages, files, tmp_path)
    options = ["--model", str(folders[1])]
    for weight in WEIGHTS:
        options += ["--weight", str(weight)]
    with start(*options, model=str(folders[0])) as server:
        answers = {
            file.name: post(f"{server.url}/score?explain=1", file.read_bytes(), "application/dicom")
            for file in files
        }
        body = json.dumps(bytes_request([file.read_bytes() for file in files])).encode()
        infer = post(f"{server.url}{URL}/infer", body, "application/json")
    for name, answer in answers.items():
        row = expected.loc[name]
        for column in ("malignant_probability", "calibrated_probability"):
            assert answer[column] == pytest.approx(row[column], abs=1e-6)
        assert answer["model_id"] == row["model_id"]
        assert (answer["decision"], answer["no_decision"]) == ("", "several_models")
        text = "; ".join(f"{item['code']}: {item['message']}" for item in answer["warnings"])
        assert text == row["warnings"]
        for region in answer["regions"]:  # in pixels of the file, 96 x 72
            assert region["bottom"] < 96 and region["right"] < 72
    assert infer["model_version"] == answers["0.dcm"]["model_version"]
    values = {output["name"]: output["data"] for output in infer["outputs"]}
    names = [file.name for file in files]
    for column, data in values.items():
        np.testing.assert_allclose(data, expected.loc[names, column], atol=1e-6)


def test_the_order_of_the_models_does_not_matter(packages, dicom_bytes):
    answers = []
    for order in (slice(None), slice(None, None, -1)):
        with client_of(packages[order], WEIGHTS[order]) as client:
            answer = client.post("/score?explain=1", content=dicom_bytes(1)).json()
            metadata = client.get(URL).json()
            answers.append((answer, metadata))
    assert answers[0] == answers[1]


def test_models_of_other_geometries_take_files_only(packages, dicom_bytes):
    with client_of(packages) as client:
        metadata = client.get(URL).json()
        assert [item["name"] for item in metadata["inputs"]] == ["image"]
        model = ScoringModel.from_packages(packages, WEIGHTS)
        assert metadata["parameters"]["members"] == "; ".join(
            f"{package.model_id} weight {weight}"
            for package, weight in zip(model.packages, (0.75, 0.25), strict=True)
        )
        pixels = {
            "name": "pixels", "datatype": "UINT16", "shape": [1, 48, 36], "data": [0] * (48 * 36)
        }  # fmt: skip
        refused = client.post(f"{URL}/infer", json={"inputs": [pixels]})
        assert refused.status_code == 400
        assert "pixels in different geometries" in refused.json()["expected"]
        document = client.get("/openapi.json").json()
    validate(document)
    assert "UINT16" not in json.dumps(document["components"]["schemas"]["InferRequest"])


def test_the_documented_request_with_files_is_accepted(packages, dicom_bytes):
    import jsonschema

    with client_of(packages) as client:
        document = client.get("/openapi.json").json()
        body = bytes_request([dicom_bytes(1), dicom_bytes(2)])
        jsonschema.validate(body, document["components"]["schemas"]["InferRequest"])
        assert client.post(f"{URL}/infer", json=body).status_code == 200


def test_models_of_one_geometry_take_pixels(folders, tmp_path):
    packages = [load(folders[0]), load(build_small(tmp_path / "c", seed=5))]
    pixels = np.random.default_rng(1).integers(0, 65536, (2, 48, 36)).astype(np.uint16)
    tensor = {
        "name": "pixels", "datatype": "UINT16", "shape": [2, 48, 36],
        "data": pixels.ravel().tolist(),
    }  # fmt: skip
    with client_of(packages, (1, 1)) as client:
        result = client.post(f"{URL}/infer", json={"inputs": [tensor]}).json()
    expected = np.mean([package.predict(pixels) for package in packages], axis=0)
    np.testing.assert_allclose(result["outputs"][0]["data"], expected, atol=1e-6)


def test_models_of_both_views_are_averaged(tmp_path, dicom_bytes):
    packages = [
        load(build_two_views(tmp_path / "p", seed=1)),
        load(
            build_two_views(
                tmp_path / "q",
                seed=2,
                preprocessing=Preprocessing(
                    geometry=Geometry(height=64, width=48, resize="pad"), mean=30.0
                ),
            )
        ),
    ]
    files = {view: dicom_bytes(number, view=view.upper(), PatientID="A")
             for number, view in enumerate(("cc", "mlo"))}  # fmt: skip
    for view, data in files.items():
        (tmp_path / f"{view}.dcm").write_bytes(data)
    expected = scores_of(packages, [tmp_path / f"{view}.dcm" for view in files], tmp_path)
    with client_of(packages) as client:
        sent = {view: (f"{view}.dcm", data) for view, data in files.items()}
        answer = client.post("/score?explain=1", files=sent).json()
    assert [image["view"] for image in answer["images"]] == ["CC", "MLO"]
    for image in answer["images"]:  # in pixels of the files, 96 x 72
        assert all(region["bottom"] < 96 for region in image["regions"])
        assert all(region["right"] < 72 for region in image["regions"])
    assert any(image["regions"] for image in answer["images"])
    assert answer["malignant_probability"] == pytest.approx(
        expected["malignant_probability"].iloc[0], abs=1e-6
    )
