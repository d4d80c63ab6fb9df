"""The service in this process: routes, responses, status codes."""

import base64
import json

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from mammo_core.dicom import read_image
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from tests.support.processes import wait_until


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
    outside_message = "view MLO is outside the training data"
    assert {"code": "view", "message": outside_message} in outside["warnings"]


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
    "body",
    [b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": [1]}', b"\xff\xfe", b"null", b"[" * 9999],
)
def test_bodies_that_are_not_a_request_are_rejected(client, body):
    response = client.post(URL, content=body)
    assert response.status_code == 400
    assert {"error", "expected", "received"} <= response.json().keys()


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [-1, 48, 36]},
        {"shape": [2, -1, 36]},
        {"shape": [2, 48, 36, 1]},
        {"shape": [2, 1728]},
        {"shape": [3456]},
        {"shape": [2.5, 48, 36]},
        {"shape": ["2", 48, 36]},
        {"shape": [True, 48, 36]},
        {"shape": None},
        {"shape": [2**63, 48, 36]},
        {"data": [10**30] + [0] * 3455},
        {"data": [True] * 3456},
        {"data": [[0] * 3456]},
        {"data": [[[0] * 48] * 36] * 2},  # the other way round
        {"data": [None] * 3456},
        {"name": 7},
        {"parameters": {"binary_data_size": True}},
        {"parameters": {"binary_data_size": 6912}},
        {"parameters": []},
    ],
)
def test_impossible_tensors_are_rejected(client, package, change):
    response = client.post(URL, json=infer(tensor(package), **change))
    assert response.status_code == 400, response.text


def test_null_is_as_good_as_an_absent_field(client, package):
    body = infer(tensor(package), parameters=None)
    body |= {"id": None, "parameters": None, "outputs": None}
    response = client.post(URL, json=body)
    assert response.status_code == 200 and "id" not in response.json(), response.text
    body["outputs"] = [{"name": "malignant_probability", "parameters": None}]
    assert client.post(URL, json=body).status_code == 200
    body["outputs"] *= 2
    assert client.post(URL, json=body).status_code == 400


def test_bytes_that_belong_to_no_tensor_are_rejected(client, package):
    pixels = tensor(package)
    for described in (
        infer(pixels),
        infer(pixels, data=None, parameters={"binary_data_size": 6912}),
    ):
        text = json.dumps(described).encode()
        binary = pixels.tobytes() if described["inputs"][0]["data"] is None else b""
        headers = {"inference-header-content-length": str(len(text))}
        assert client.post(URL, content=text + binary, headers=headers).status_code == 200
        response = client.post(URL, content=text + binary + b"\0\0", headers=headers)
        assert response.status_code == 400 and "binary data" in response.json()["expected"]
    assert client.post(URL, content=json.dumps(infer(pixels)).encode() + b"{}").status_code == 400
    for length in ("-1", "9" * 5000, "1e3", ""):
        headers = {"inference-header-content-length": length}
        assert client.post(URL, json=infer(pixels), headers=headers).status_code == 400


@pytest.mark.parametrize("suffix", ["dcm", "png", "tiff", "jpg", "pgm"])
def test_a_second_file_in_a_body_is_rejected(client, dicom_bytes, suffix):
    picture = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
    follows = (
        dicom_bytes(2) if suffix == "dcm" else cv2.imencode(f".{suffix}", picture)[1].tobytes()
    )
    for padding in (b"", bytes(100)):
        response = client.post("/score", content=dicom_bytes(1) + padding + follows)
        assert response.status_code == 422 and "another image file" in response.json()["error"]
    assert client.post("/score", content=dicom_bytes(1) + bytes(100)).status_code == 200


def test_errors_of_http_have_the_documented_form(client):
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/whole-image/config", 404),
        ("DELETE", "/v2", 405),
        ("GET", "/score", 405),
        ("OPTIONS", "/v2", 405),
        ("POST", "/score?explain=perhaps", 400),
    ):
        response = client.request(method, path)
        assert response.status_code == status, (method, path)
        assert {"error", "problem", "expected", "received"} <= response.json().keys()
    assert client.delete("/v2").headers["allow"] == "GET"
    response = client.get("/v2", headers={"host": "evil.example"})
    assert response.status_code == 400 and "evil" not in response.text
    slash = client.get("/v2/", follow_redirects=False)
    assert slash.status_code == 200 and slash.json()["name"] == "mammo"


def test_api_pages_are_served_on_request_and_load_nothing(client, package):
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404
    app = create_app(package, "m", "1", ServeConfig(api_pages=True))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = client.get("/docs")
    assert page.status_code == 200 and "POST /score" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not any(word in page.text for word in ("<script", "<link", "http://", "https://"))


def test_work_that_takes_too_long_gets_503(package, dicom_bytes, monkeypatch):
    import threading

    from mammo_core.serving.engine import Engine

    release = threading.Event()
    decode = Engine._decode

    def wait(self, path, view):
        release.wait(60)
        return decode(self, path, view)

    monkeypatch.setattr(Engine, "_decode", wait)
    app = create_app(package, "m", "1", ServeConfig(work_s=0.2, slots=2))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        response = client.post("/score", content=dicom_bytes(1))
        assert response.status_code == 503 and response.headers["retry-after"] == "10"
        # Its slot is in use until its thread ends: a client holds one of two.
        assert client.post("/score", content=dicom_bytes(1)).status_code == 503
        release.set()
        monkeypatch.undo()
        wait_until(lambda: app.state.service.engine.is_idle)
    app = create_app(package, "m", "1", ServeConfig())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.post("/score", content=dicom_bytes(1)).status_code == 200


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
