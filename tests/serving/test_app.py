"""The service in this process: routes, answers, codes."""

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
    with TestClient(create_app(package, "whole-image", "1", config)) as client:
        yield client


@pytest.fixture
def expected(package, dicom_bytes, tmp_path):
    """The package's own probability for an image file."""

    def of(data):
        (tmp_path / "x").write_bytes(data)
        image = read_image(tmp_path / "x")
        pixels = package.preprocessing.from_source(image.pixels, image.facts.bits_stored, "LEFT")
        return float(package.predict(pixels[np.newaxis])[0])

    return of


def tensor(package, count=2, seed=1):
    geometry = package.preprocessing.geometry
    shape = (count, geometry.height, geometry.width)
    return np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)


def infer(pixels, **changes):
    given = {
        "name": "pixels",
        "datatype": "UINT16",
        "shape": list(pixels.shape),
        "data": pixels.ravel().tolist(),
    }
    return {"id": "7", "inputs": [{**given, **changes}]}


URL = "/v2/models/whole-image/infer"


def test_health_and_metadata(client, package):
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2").json()["name"] == "mammo"
    told = client.get("/v2/models/whole-image").json()
    assert told["name"] == "whole-image" and told["versions"] == ["1"]
    assert told["inputs"][0] == {"name": "pixels", "datatype": "UINT16", "shape": [-1, 48, 36]}
    assert told["parameters"]["model_id"] == package.model_id
    assert client.get("/v2/models/whole-image/versions/1").json() == told
    for path in ("ready", "versions/1/ready"):
        assert client.get(f"/v2/models/whole-image/{path}").status_code == 200
    for path in ("other", "whole-image/versions/2", "other/ready"):
        answer = client.get(f"/v2/models/{path}")
        assert answer.status_code == 404 and "error" in answer.json()
    assert client.get("/nowhere").status_code == 404
    assert client.get("/score").status_code == 405


def test_a_dicom_gives_a_score(client, package, dicom_bytes, expected):
    data = dicom_bytes(1)
    answer = client.post("/score", content=data, headers={"content-type": "application/dicom"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["malignant_probability"] == pytest.approx(expected(data), abs=2e-6)
    assert (told["model_name"], told["model_version"]) == ("whole-image", "1")
    assert told["model_id"] == package.model_id and told["view"] == "CC"
    assert told["decision"] == ("positive" if told["malignant_probability"] >= 0.4 else "negative")
    assert "PLANTED" not in answer.text
    form = client.post("/score", files={"file": ("x.dcm", data, "application/dicom")})
    assert form.json() == told
    # Fields have a meaning for models of both views only.
    assert client.post("/score", files={"mlo": ("x.dcm", data)}).json() == told
    outside = client.post("/score", content=dicom_bytes(1, view="MLO")).json()
    assert "view MLO is outside the training data" in outside["warnings"]


@pytest.mark.parametrize("nested", [False, True])
def test_json_inference(client, package, nested):
    pixels = tensor(package)
    asked = infer(pixels, **({"data": pixels.tolist()} if nested else {}))
    answer = client.post(URL, json=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["id"], told["model_name"], told["model_version"]) == ("7", "whole-image", "1")
    [probability, calibrated] = told["outputs"]
    assert probability["name"] == "malignant_probability" and probability["shape"] == [2]
    np.testing.assert_allclose(probability["data"], package.predict(pixels), atol=1e-5)
    assert calibrated["name"] == "calibrated_probability"
    only = client.post(URL, json={**asked, "outputs": [{"name": "calibrated_probability"}]})
    assert [output["name"] for output in only.json()["outputs"]] == ["calibrated_probability"]


def test_files_as_base64(client, dicom_bytes, expected):
    files = [dicom_bytes(1), dicom_bytes(2)]
    given = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [2],
        "data": [base64.b64encode(data).decode() for data in files],
    }
    answer = client.post(URL, json={"inputs": [given]})
    assert answer.status_code == 200, answer.text
    found = answer.json()["outputs"][0]["data"]
    np.testing.assert_allclose(found, [expected(data) for data in files], atol=1e-5)


@pytest.mark.parametrize(
    ("status", "send"),
    [
        (422, {"content": b"no image at all"}),
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
def test_what_is_no_image_is_refused(client, status, send):
    answer = client.post("/score", **send)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_a_broken_dicom_and_another_modality_are_refused(client, dicom_bytes):
    cut = client.post("/score", content=dicom_bytes(1)[:5000])
    assert cut.status_code == 422 and "image" in cut.json()["problem"]
    other = client.post("/score", content=dicom_bytes(1, modality="CT"))
    assert other.status_code == 422 and "CT" in other.json()["received"]
    assert "PLANTED" not in cut.text + other.text


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
def test_wrong_inference_requests(client, package, status, change):
    answer = client.post(URL, json=infer(tensor(package), **change))
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"inputs": []}', b'{"inputs": [1]}', b"\xff\xfe", b"null"]
)
def test_bodies_that_are_no_request(client, body):
    assert client.post(URL, content=body).status_code == 400


def test_more_refusals(client, package):
    asked = infer(tensor(package))
    unknown = client.post(URL, json={**asked, "outputs": [{"name": "x"}]})
    assert unknown.status_code == 400
    assert client.post("/v2/models/other/infer", json=asked).status_code == 404
    large = json.dumps(asked).encode() + b" " * 110_000
    assert client.post(URL, content=large).status_code == 413
    headers = {"inference-header-content-length": "999999"}
    assert client.post(URL, json=asked, headers=headers).status_code == 400


def test_metrics_count_by_route_and_status(client, dicom_bytes):
    client.post("/score", content=dicom_bytes(1))
    client.post("/score", content=b"x")
    client.get("/secret/name/of/somebody")
    text = client.get("/metrics").text
    assert 'mammo_requests_total{route="/score",status="200"}' in text
    assert 'mammo_requests_total{route="/score",status="422"}' in text
    assert "mammo_images_scored_total" in text and 'mammo_model{model_id="' in text
    assert "secret" not in text


def test_too_many_requests_are_told_to_come_again(package):
    config = ServeConfig(max_requests=1)
    app = create_app(package, "m", "1", config)
    with TestClient(app) as client:
        assert client.get("/v2").status_code == 200
        # One that never ends holds the only place.
        import asyncio

        async def both():
            import httpx

            release = asyncio.Event()

            async def slow():
                yield b"x"
                await release.wait()

            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
                first = asyncio.create_task(http.post("/score", content=slow()))
                await asyncio.sleep(0.2)
                second = await http.get("/v2")
                health = await http.get("/v2/health/live")
                release.set()
                return second, health, await first

        second, health, first = asyncio.run(both())
    assert second.status_code == 503 and second.headers["retry-after"] == "1"
    assert health.status_code == 200 and first.status_code == 422
