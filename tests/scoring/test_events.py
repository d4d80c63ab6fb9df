"""Scoring records what it did, and nothing that names a patient, an exam or a file."""

import json
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mammo_core.cli.monitor import monitor as monitor_command
from mammo_core.cli.score import score as score_command
from mammo_core.errors import SourceError
from mammo_core.imaging.plausibility import DISTRIBUTED
from mammo_core.monitoring.batches import from_bytes
from mammo_core.scoring import ScoreOptions, score
from mammo_core.scoring.events import EventRecorder
from mammo_core.sources.identity.patients import content_key, patient_key, site_key, study_key
from mammo_core.store import open_store
from tests.monitoring.events import make_events, put

app = typer.Typer()
app.command("score")(score_command)
watching = typer.Typer()
watching.command()(monitor_command)


class Sink(list):
    def add(self, events):
        self.extend(events)


@pytest.fixture(autouse=True)
def _site_key(monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "a site key of a test")


@pytest.fixture
def exams(tmp_path, write):
    """Two exams of one woman with two images each, and an image without any exam."""
    root = tmp_path / "images"
    for study in (1, 2):
        for view in ("CC", "MLO"):
            uid = f"1.2.826.0.1.3680043.8.498.{study}"
            write.dicom(
                root / f"{study}-{view}.dcm",
                write.breast(10 * study + len(view)),
                view=view,
                study=uid,
                Manufacturer="HOLOGIC, Inc.",
            )
    write.png(root / "x.png", write.breast(5, bits=16))
    return root


def test_an_event_for_each_image(exams, package, tmp_path, write):
    sink = Sink()
    score(package, [exams], tmp_path / "s.json", recorder=EventRecorder([sink]))
    rows = json.loads((tmp_path / "s.json").read_text())["images"]
    assert [e.probability for e in sink] == [row["malignant_probability"] for row in rows]
    assert [e.calibrated for e in sink] == [row["calibrated_probability"] for row in rows]
    assert [e.vendor for e in sink] == [row["manufacturer"] for row in rows]
    assert [e.view_class for e in sink] == ["CC", "MLO", "CC", "MLO", ""]
    assert {e.model_id for e in sink} == {package.model_id}
    for event, row in zip(sink, rows, strict=True):
        assert set(event.warnings) == {warning["code"] for warning in row["warnings"]}
        assert set(event.gray) == set(DISTRIBUTED)
        assert set(event.unlike) == {item["measure"] for item in row["unlike_training"]}
    first, second, third, fourth, last = (event.exam for event in sink)
    assert first == second != third == fourth and last == ""
    assert not any(event.image for event in sink)


def test_no_event_names_anything(exams, package, tmp_path, write):
    sink = Sink()
    score(package, [exams], tmp_path / "s.json", recorder=EventRecorder([sink]))
    text = "".join(event.model_dump_json() for event in sink)
    rows = json.loads((tmp_path / "s.json").read_text())["images"]
    for secret in (write.patient, "1.2.826", ".dcm", "images", *(row["id"] for row in rows)):
        assert secret not in text
    # Not even under the site key: another process gives other tokens.
    key = site_key()
    assert patient_key(key, write.patient) not in text
    assert study_key(key, "1.2.826.0.1.3680043.8.498.1") not in text
    again = Sink()
    score(package, [exams], tmp_path / "t.json", recorder=EventRecorder([again]))
    assert {e.exam for e in sink if e.exam}.isdisjoint(e.exam for e in again)


@pytest.mark.parametrize("keyed_table", [False, True])
def test_ids_under_the_site_key_join_labels_later(exams, package, tmp_path, keyed_table):
    sink = Sink()
    options = ScoreOptions(keyed_ids=keyed_table)
    score(package, [exams], tmp_path / "s.json", options, recorder=EventRecorder([sink], True))
    rows = json.loads((tmp_path / "s.json").read_text())["images"]
    expected = [row["id"] if keyed_table else content_key(site_key(), row["id"]) for row in rows]
    assert [event.image for event in sink] == expected
    assert [event.exam for event in sink] == [row["exam"] or row["patient"] for row in rows]


def test_keyed_ids_need_the_site_key(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMMO_SITE_KEY_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("MAMMO_SITE_KEY", raising=False)
    with pytest.raises(SourceError, match="site key"):
        EventRecorder([], keyed=True)


def test_the_command_records_events(exams, package_folder, tmp_path):
    events = tmp_path / "events"
    arguments = ["--model", package_folder, exams, "--out", tmp_path / "s.csv", "--events", events]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "5 events recorded, 0 dropped" in result.output
    store = open_store(str(events))
    assert [len(from_bytes(store.read(key), key)) for key in store.list("")] == [5]
    # Without the option, nothing is recorded, and the table has the same bytes.
    before = (tmp_path / "s.csv").read_bytes()
    result = CliRunner().invoke(app, [str(argument) for argument in arguments[:-2]])
    assert result.exit_code == 0 and (tmp_path / "s.csv").read_bytes() == before
    assert len(list(store.list(""))) == 1


def test_the_command_watches_and_starts_another_once(tmp_path, package_folder, package):
    random = np.random.default_rng(0)
    events = open_store(str(tmp_path / "events"))
    model = {"model_id": package.model_id}
    put(events, make_events(random, 100, **model), number=1)
    put(events, make_events(random, 100, shift=0.2, start=500, **model), number=2)
    code = f"open({str(tmp_path / 'started')!r}, 'a').write('x')"
    arguments = [
        "--model",
        package_folder,
        "--events",
        tmp_path / "events",
        "--store",
        tmp_path / "store",
    ]
    arguments += ["--baseline", "50", "--horizon", "500", "--out", tmp_path / "page.html"]
    arguments += ["--on-alarm", f'{sys.executable} -c "{code}"']
    result = CliRunner().invoke(watching, [str(argument) for argument in arguments])
    assert result.exit_code == 3, result.output
    assert "new alarm: ge, ffdm: median" in result.output and "started for" in result.output
    assert (tmp_path / "page.html").read_text().count("<img") >= 2
    result = CliRunner().invoke(watching, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "alarm: ge, ffdm: median" in result.output and "new alarm" not in result.output
    assert (tmp_path / "started").read_text() == "x"


@pytest.mark.parametrize(
    ("monitoring", "code", "started"),
    [
        ("{on_alarm: retrain, watched: [inputs]}", 3, True),
        ("{on_alarm: retrain, watched: [auc]}", 3, False),
        ("{on_alarm: notify}", 2, False),
    ],
)
def test_the_plan_decides_what_an_alarm_starts(
    tmp_path, package_folder, package, monitoring, code, started
):
    random, model = np.random.default_rng(0), {"model_id": package.model_id}
    events = open_store(str(tmp_path / "events"))
    put(events, make_events(random, 100, **model), number=1)
    put(events, make_events(random, 100, shift=0.2, start=500, **model), number=2)
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"name: plan\nmodel: phantom\nmonitoring: {monitoring}\n")
    arguments = ["--model", package_folder, "--events", tmp_path / "events", "--plan", plan]
    arguments += ["--store", tmp_path / "store", "--baseline", 50, "--horizon", 500]
    arguments += ["--on-alarm", f"touch {tmp_path / 'started'}"]
    result = CliRunner().invoke(watching, [str(argument) for argument in arguments])
    assert getattr(result.exception, "exit_code", result.exit_code) == code, result.output
    assert (tmp_path / "started").exists() == started
