"""The service in this process: routes, responses, status codes."""

import base64
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from mammo_core.dicom import read_image
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app


@pytest.fixture(scope="module")
def client(package):
    config = ServeConfig(max_body_mb=0.25, max_json_mb=0.1, max_images=4)
    with TestClient(
        create_app(package, "whole-image", "1", config), base_url="http://127.0.0.1"
    ) as client:
        yield client


@pytest.fixture
def expected(package, dicom_bytes, tmp_path):
    """Return a function that returns the probability of the package for an image file."""

    def predict(data):
        (tmp_path / "x").write_bytes(data)
        image = read_image(tmp_path / "x")
        pixels = package.preprocessing.from_source(image.pixels, image.facts.bits_stored, "LEFT")
        return float(package.predict(pixels[np.newaxis])[0])

    return predict


def tensor(package, count=2, seed=1):
    geometry = package.preprocessing.geometry
    shape = (count, geometry.height, geometry.width)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def infer(pixels, **changes):
    tensor = {
        "name": "pixels",
        "datatype": "UINT16",
        "shape": list(pixels.shape),
        "data": pixels.ravel().tolist(),
    }
    return {"id": "7", "inputs": [{**tensor, **changes}]}


URL = "/v2/models/whole-image/infer"


def test_health_and_metadata(client, package):
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2").json()["name"] == "mammo"
    result = client.get("/v2/models/whole-image").json()
    assert result["name"] == "whole-image" and result["versions"] == ["1"]
    assert result["inputs"][0] == {"name": "pixels", "datatype": "UINT16", "shape": [-1, 48, 36]}
    assert result["parameters"]["model_id"] == package.model_id
    assert client.get("/v2/models/whole-image/versions/1").json() == result
    for path in ("ready", "versions/1/ready"):
        assert client.get(f"/v2/models/whole-image/{path}").status_code == 200
    for path in ("other", "whole-image/versions/2", "other/ready"):
        response = client.get(f"/v2/models/{path}")
        assert response.status_code == 404 and "error" in response.json()
    assert client.get("/nowhere").status_code == 404
    assert client.get("/score").status_code == 405


def test_a_dicom_file_is_scored(client, package, dicom_bytes, expected):
    data = dicom_bytes(1)
    response = client.post("/score", content=data, headers={"content-type": "application/dicom"})
    assert response.status_code == 200, response.text
    result = response.json()
    assert result["malignant_probability"] == pytest.approx(expected(data), abs=2e-6)
    assert (result["model_name"], result["model_version"]) == ("whole-image", "1")
    assert result["model_id"] == package.model_id and result["view"] == "CC"
    assert result["decision"] == (
        "positive" if result["malignant_probability"] >= 0.4 else "negative"
    )
    assert "PLANTED" not in response.text
    form = client.post("/score", files={"file": ("x.dcm", data, "application/dicom")})
    assert form.json() == result
    # The form field matters only for models of two views.
    assert client.post("/score", files={"mlo": ("x.dcm", data)}).json() == result
    outside = client.post("/score", content=dicom_bytes(1, view="MLO")).json()
    assert "view MLO is outside the training data" in outside["warnings"]


@pytest.mark.parametrize("nested", [False, True])
def test_inference_with_json(client, package, nested):
    pixels = tensor(package)
    body = infer(pixels, **({"data": pixels.tolist()} if nested else {}))
    response = client.post(URL, json=body)
    assert response.status_code == 200, response.text
    result = response.json()
    assert (result["id"], result["model_name"], result["model_version"]) == (
        "7",
        "whole-image",
        "1",
    )
    [probability, calibrated] = result["outputs"]
    assert probability["name"] == "malignant_probability" and probability["shape"] == [2]
    np.testing.assert_allclose(probability["data"], package.predict(pixels), atol=1e-5)
    assert calibrated["name"] == "calibrated_probability"
    selected = client.post(URL, json={**body, "outputs": [{"name": "calibrated_probability"}]})
    assert [output["name"] for output in selected.json()["outputs"]] == ["calibrated_probability"]


def test_inference_with_files_as_base64(client, dicom_bytes, expected):
    files = [dicom_bytes(1), dicom_bytes(2)]
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [2],
        "data": [base64.b64encode(data).decode() for data in files],
    }
    response = client.post(URL, json={"inputs": [tensor]})
    assert response.status_code == 200, response.text
    probabilities = response.json()["outputs"][0]["data"]
    np.testing.assert_allclose(probabilities, [expected(data) for data in files], atol=1e-5)


@pytest.mark.parametrize(
    ("status", "send"),
    [
        (422, {"content": b"not an image"}),
        (422, {"content": b""}),
        (413, {"content": b"x" * 300_000}),
        (415, {"content": b"{}", "headers": {"content-type": "application/json"}}),
        (415, {"content": b"x", "headers": {"content-encoding": "gzip"}}),
        (
            400,
            {"data": {"a": "b"}, "files": {}, "headers": {"content-type": "multipart/form-data"}},
        ),
        (400, {"files": [("a", b"1"), ("b", b"2")]}),
    ],
    ids=["text", "empty", "large", "json", "gzip", "no-boundary", "two-files"],
)
def test_other_bodies_are_rejected(client, status, send):
    response = client.post("/score", **send)
    assert response.status_code == status, response.text
    assert response.json()["error"]


def test_a_damaged_file_and_another_modality_are_rejected(client, dicom_bytes):
    damaged = client.post("/score", content=dicom_bytes(1)[:5000])
    assert damaged.status_code == 422 and "image" in damaged.json()["problem"]
    other = client.post("/score", content=dicom_bytes(1, modality="CT"))
    assert other.status_code == 422 and "CT" in other.json()["received"]
    assert "PLANTED" not in damaged.text + other.text


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (400, {"datatype": "FP32"}),
        (400, {"name": "other"}),
        (400, {"shape": [2, 48, 35]}),
        (400, {"shape": []}),
        (400, {"shape": [0, 48, 36]}),
        (400, {"shape": [5, 48, 36]}),
        (400, {"data": [70000] * (2 * 48 * 36)}),
        (400, {"data": [0.5] * (2 * 48 * 36)}),
        (400, {"data": ["x"]}),
        (400, {"data": [[1], [2, 3]]}),
        (400, {"data": None}),
        (422, {"shape": [2, 36, 48]}),
    ],
)
def test_invalid_tensors_are_rejected(client, package, status, change):
    response = client.post(URL, json=infer(tensor(package), **change))
    assert response.status_code == status, response.text
    assert response.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": [1]}', b"\xff\xfe", b"null"]
)
def test_bodies_that_are_not_a_request_are_rejected(client, body):
    assert client.post(URL, content=body).status_code == 400


def test_unknown_outputs_and_models_and_large_bodies_are_rejected(client, package):
    body = infer(tensor(package))
    unknown = client.post(URL, json={**body, "outputs": [{"name": "x"}]})
    assert unknown.status_code == 400
    assert client.post("/v2/models/other/infer", json=body).status_code == 404
    large = json.dumps(body).encode() + b" " * 110_000
    assert client.post(URL, content=large).status_code == 413
    headers = {"inference-header-content-length": "999999"}
    assert client.post(URL, json=body, headers=headers).status_code == 400


def test_metrics_count_requests_by_route_and_status(client, dicom_bytes):
    client.post("/score", content=dicom_bytes(1))
    client.post("/score", content=b"x")
    client.get("/secret/name/of/somebody")
    text = client.get("/metrics").text
    assert 'mammo_requests_total{route="/score",status="200"}' in text
    assert 'mammo_requests_total{route="/score",status="422"}' in text
    assert "mammo_images_scored_total" in text and 'mammo_model{model_id="' in text
    assert "secret" not in text
