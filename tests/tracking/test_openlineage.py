"""OpenLineage events: what connects the steps of a run, where they go, what is never in them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import UUID

import pytest
from openlineage.client.event_v2 import RunState

from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from tests.support.processes import free_port
from tests.tracking.conftest import PATIENT


def events_of(run):
    keys = [key for key in run.store.list(f"runs/{run.id}") if "/lineage/" in key]
    events = [json.loads(run.store.read(key)) for key in keys]
    return sorted(events, key=lambda event: event["eventTime"])


def named(events, job, state):
    return [event for event in events if (event["job"]["name"], event["eventType"]) == (job, state)]


def test_events_in_the_record_connect_steps_by_content_ids(whole_run):
    run = whole_run("first", lineage="record")
    events = events_of(run)
    assert len(events) == 8
    for event in events:
        check_event(event)
    (index_end,) = named(events, "phantom.index", "COMPLETE")
    (read,) = named(events, "phantom.evaluate", "START")
    (output,) = index_end["outputs"]
    (dataset,) = read["inputs"]
    assert dataset["name"] == output["name"] and output["name"].startswith("raw-things/")
    assert output["facets"]["version"]["datasetVersion"] in output["name"]
    (location,) = output["facets"]["symlinks"]["identifiers"]
    assert run.store.exists(location["name"]) and location["namespace"] == run.store.uri
    (whole,) = named(events, "phantom", "START")
    assert read["run"]["facets"]["parent"]["run"]["runId"] == whole["run"]["runId"]
    (failed,) = named(events, "phantom.convert", "FAIL")
    assert failed["run"]["facets"]["errorMessage"]["message"].startswith("SourceError")
    assert failed["outputs"] == [] and failed["inputs"] == read["inputs"]
    (end,) = named(events, "phantom", "FAIL")
    assert end["run"]["runId"] == whole["run"]["runId"]
    assert PATIENT not in json.dumps(events)


def test_the_same_work_in_another_run_has_the_same_datasets(whole_run):
    events = [
        event for id in ("one", "two") for event in events_of(whole_run(id, lineage="record"))
    ]
    first, second = named(events, "phantom.index", "COMPLETE")
    assert first["outputs"][0]["name"] == second["outputs"][0]["name"]
    assert first["run"]["runId"] != second["run"]["runId"]
    parents = {event["run"]["facets"]["parent"]["run"]["runId"] for event in (first, second)}
    assert len(parents) == 2


def check_event(event):
    """What the specification requires of every run event (spec/OpenLineage.json, 2-0-2)."""
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0")
    assert event["producer"] == "urn:mammo-pipelines" and event["eventTime"].endswith("+00:00")
    assert UUID(event["run"]["runId"]) and event["eventType"] in RunState.__members__
    assert event["job"]["namespace"] == "mammo"
    facets = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset["namespace"] == "mammo"
        facets += [*dataset["facets"].values(), *dataset.get("outputFacets", {}).values()]
    for facet in facets:
        assert facet["_producer"]  # the client adds a facet of its own, with its version
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")


def test_a_file_gets_an_event_a_line(whole_run, tmp_path):
    path = tmp_path / "new" / "events.jsonl"
    run = whole_run("first", lineage=str(path))
    lines = path.read_text().splitlines()
    assert len(lines) == 8 and not events_of(run)
    for line in lines:
        check_event(json.loads(line))


@pytest.fixture
def collector():
    """A server that keeps what it is sent: (path, authorization, event)."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((self.path, self.headers["Authorization"], body))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()


def test_a_server_gets_events_and_the_key_of_the_environment(whole_run, collector, monkeypatch):
    address, received = collector
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "very-secret")
    run = whole_run("first", lineage=address)
    assert len(received) == 8
    for path, authorization, event in received:
        assert (path, authorization) == ("/api/v1/lineage", "Bearer very-secret")
        check_event(event)
    record = b"".join(run.store.read(key) for key in run.store.list("runs/first"))
    assert b"very-secret" not in record


def test_the_variables_of_openlineage_are_obeyed(whole_run, collector, monkeypatch):
    address, received = collector
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "hospital")
    whole_run("first")
    assert {event["job"]["namespace"] for _, _, event in received} == {"hospital"}


def test_a_server_that_is_away_stops_nothing(whole_run, capsys):
    run = whole_run("first", lineage=f"http://127.0.0.1:{free_port()}")
    assert run.statuses()["evaluate"]["state"] == "succeeded"
    output = capsys.readouterr().out
    assert "[evaluate] warning: openlineage got no report: " in output


def test_nothing_is_reported_where_nobody_asked(whole_run):
    assert events_of(whole_run("first")) == []


@pytest.mark.parametrize(
    "setting",
    [
        "tracking.lineage=http://user:password@host",
        "tracking.mlflow=https://host/?token=1",
        "tracking.lineage=ftp://host",
        "tracking.mlflow=host:5000",
        "tracking.servers=2",
    ],
)
def test_addresses_with_credentials_are_no_recipe(setting):
    with pytest.raises(RecipeError, match="tracking"):
        load_recipe("phantom", [setting])
