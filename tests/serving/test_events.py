"""What a server counts and records of the files that it scores."""

import base64

import httpx
import pytest
from starlette.testclient import TestClient

from mammo_core.monitoring.batches import from_bytes
from mammo_core.serving import ServeConfig
from mammo_core.serving.app import create_app
from mammo_core.serving.server_metrics import ServerMetrics
from mammo_core.store import open_store


class Sink(list):
    def add(self, events):
        self.extend(events)


@pytest.fixture
def served(package):
    sink, metrics = Sink(), ServerMetrics()
    app = create_app(package, "whole-image", "1", ServeConfig(), metrics=metrics, events=sink)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client, sink, metrics


def post(client, data, **options):
    headers = {"content-type": "application/dicom"}
    return client.post("/score", content=data, headers=headers, **options)


def test_an_event_for_each_scored_file(served, dicom_bytes, package):
    client, sink, _ = served
    row = post(client, dicom_bytes(1)).json()
    assert post(client, b"no image").status_code == 422
    (event,) = sink
    assert event.probability == row["malignant_probability"]
    assert event.calibrated == row["calibrated_probability"]
    assert (event.decision, event.model_id) == (row["decision"], package.model_id)
    assert set(event.warnings) == {warning["code"] for warning in row["warnings"]}
    assert "PLANTED" not in event.model_dump_json()
    files = [base64.b64encode(dicom_bytes(n)).decode() for n in (1, 2)]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": files}
    answer = client.post("/v2/models/whole-image/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200
    assert len(sink) == 3 and sink[1].model_copy(update={"at": event.at}) == event


def test_metrics_by_vendor_and_kind_of_image(served, dicom_bytes):
    client, sink, metrics = served
    post(client, dicom_bytes(1, Manufacturer="GE MEDICAL SYSTEMS"))
    text = client.get("/metrics").text
    labels = 'image_type="ffdm",vendor="ge"'
    assert f"mammo_image_probability_count{{{labels}}} 1.0" in text
    for code in sink[0].warnings:
        assert f'mammo_image_warnings_total{{code="{code}"}} 1.0' in text
    assert "mammo_events" not in text
    metrics.watch_events(lambda: {"written": 3, "dropped": 2, "failures": 1, "waiting": 4})
    text = client.get("/metrics").text
    for line in ("written_total 3.0", "dropped_total 2.0", "failures_total 1.0", "waiting 4.0"):
        assert f"mammo_events_{line}" in text


def test_a_server_records_events_until_its_end_though_the_store_failed(
    start, dicom_bytes, tmp_path
):
    folder = tmp_path / "store"
    folder.write_text("not a folder yet")
    with start("--events", str(folder), "--health-port", "0") as server:
        client = httpx.Client(base_url=server.url)
        for number in range(3):
            post(client, dicom_bytes(number)).raise_for_status()
        health = httpx.get(f"http://127.0.0.1:{server.health_port}/metrics").text
        assert "mammo_events_waiting 3.0" in health and "mammo_events_written_total 0.0" in health
        folder.unlink()
        server.stop()
        assert server.process.wait(90) == 0
        assert "events were not recorded" not in server.log.read_text()
    store = open_store(str(folder))
    assert sum(len(from_bytes(store.read(key), key)) for key in store.list("")) == 3
