"""A call of `mammo monitor`: events that are read once, state, pages, labels, alarms."""

import json
import sys
from datetime import date

import numpy as np
import pytest

from mammo_core.errors import RecipeError, RecordError, RunError, SourceError
from mammo_core.evaluation.decisions import NamedPoint
from mammo_core.monitoring import on_alarm
from mammo_core.monitoring.labels import join_labels, read_labels
from mammo_core.monitoring.monitor import folder_of_model, monitor, note_retraining
from mammo_core.monitoring.performance import performance
from mammo_core.monitoring.reader import EventReader
from mammo_core.monitoring.reference import ModelReference
from mammo_core.store import open_store
from tests.monitoring.events import MODEL_ID, make_events, put

POINT = NamedPoint(name="specificity-0.80", threshold=0.4, sensitivity=0.7, specificity=0.8)
MODEL = ModelReference("phantom", 3, MODEL_ID, {}, POINT)
SETTINGS = {"baseline": 50, "horizon": 500}
STATE = f"{folder_of_model(MODEL_ID)}/state.json"


@pytest.fixture
def stores(tmp_path):
    return open_store(str(tmp_path / "events")), open_store(str(tmp_path / "store"))


def look(stores, **options):
    events, store = stores
    options = {"draw": False, "today": date(2027, 12, 31), **options}
    return monitor(MODEL, events, store, **options)


def fill(store, *, changed=True):
    """A half year of quiet, and three weeks of a new gray curve."""
    random = np.random.default_rng(0)
    for number in range(6):
        day = f"2027-{number + 1:02}-10"
        put(store, make_events(random, 40, start=100 * number, day=day), day, number)
    if changed:
        events = make_events(random, 120, shift=0.15, start=1000, day="2027-07-01")
        put(store, events, "2027-07-01", 99)


def test_events_are_read_once_and_the_watch_goes_on(stores):
    fill(stores[0], changed=False)
    first = look(stores, settings=SETTINGS)
    assert first.read == first.watch.events == 480 and not first.raised
    assert look(stores).read == 0
    fill(stores[0])
    second = look(stores)
    assert second.read == 240 and second.watch.events == 720 and second.raised
    third = look(stores)
    assert third.read == 0 and not third.raised and third.watch.alarms == list(second.raised)


def test_a_batch_that_arrives_late_is_read_and_an_old_folder_is_not(stores):
    events, random = stores[0], np.random.default_rng(0)
    put(events, make_events(random, 2), "2027-03-10", 5)
    assert look(stores).read == 4
    put(events, make_events(random, 1), "2027-03-10", 1)  # written before, and put after
    put(events, make_events(random, 1), "2027-03-08", 2)
    put(events, make_events(random, 1), "2027-01-01", 3)
    put(events, make_events(random, 1), "2027-05-01", 4)
    assert look(stores).read == 6
    assert look(stores).read == 0


def test_what_cannot_be_read_is_counted_and_does_not_end_the_call(stores):
    events, random = stores[0], np.random.default_rng(0)
    key = put(events, make_events(random, 2), number=1)
    events.write(key, b"damaged")
    put(events, make_events(random, 2), number=2)
    events.write("2027/01/04/readme.txt", b"no batch")
    result = look(stores)
    assert result.read == 4
    assert "1 batches of events could not be read" in result.notes[0] and key in result.notes[0]


def test_nothing_is_lost_when_a_call_ends_before_its_state(stores, monkeypatch):
    fill(stores[0])
    whole = look(stores, settings=SETTINGS)
    stores[1].delete(STATE)
    with monkeypatch.context() as patch:
        patch.setattr(
            type(stores[1]), "put_if", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            look(stores, settings=SETTINGS)
    assert look(stores, settings=SETTINGS).raised == whole.raised


def test_two_calls_at_once_count_nothing_twice(stores, monkeypatch):
    fill(stores[0])
    put_if = type(stores[1]).put_if
    with monkeypatch.context() as patch:
        patch.setattr(
            type(stores[1]), "put_if", lambda self, key, *rest: put_if(self, key, *rest) and None
        )
        with pytest.raises(RunError, match="Another call"):
            look(stores, settings=SETTINGS)
    assert look(stores).read == 0


def test_settings_stay_until_a_restart(stores):
    fill(stores[0])
    look(stores, settings=SETTINGS)
    with pytest.raises(RecipeError, match=r"baseline 50.*baseline 60.*--restart"):
        look(stores, settings={"baseline": 60})
    with pytest.raises(RecipeError, match="rate"):
        look(stores, settings={"rate": 2}, restart=True)
    fresh = look(stores, settings={"baseline": 60}, restart=True)
    assert fresh.watch.events == fresh.read == 0 and not fresh.watch.alarms
    put(stores[0], make_events(np.random.default_rng(1), 2, start=9000), "2027-07-02", 100)
    assert look(stores).watch.events == 4


def test_a_damaged_state_is_an_error_with_a_remedy(stores):
    fill(stores[0], changed=False)
    look(stores)
    state = json.loads(stores[1].read(STATE))
    stores[1].write(STATE, json.dumps({**state, "events": "many"}).encode())
    with pytest.raises(RecordError, match="--restart"):
        look(stores)


def test_the_page_and_the_report_name_the_alarms_and_nobody(stores):
    fill(stores[0])
    result = look(stores, settings=SETTINGS, draw=True)
    folder = folder_of_model(MODEL_ID)
    page = stores[1].read(f"{folder}/report.html").decode()
    assert page == result.page and "<h2>Alarms</h2>" in page
    report = json.loads(stores[1].read(f"{folder}/report.json"))
    assert [alarm["id"] for alarm in report["alarms"]] == [a.id for a in result.watch.alarms]
    for alarm in result.raised:
        assert alarm.after in page
    for text in (page, json.dumps(report)):
        assert "exam-ge-" not in text and "image-ge-" not in text


def labels_of(events, random):
    """Labels that go with the scores."""
    return {e.image: bool(random.random() < e.probability) for e in events}


def write_labels(path, labels, column="image"):
    words = {True: "malignant", False: "benign"}
    rows = [f"{key},{words[value]}" for key, value in labels.items()]
    path.write_text("\n".join([f"{column},label", *rows]) + "\n")
    return str(path)


def test_labels_give_auc_and_calibration_and_alarms_where_they_no_longer_hold(stores, tmp_path):
    random = np.random.default_rng(3)
    good = make_events(random, 600, day="2027-02-01")
    put(stores[0], good[:1000], "2027-02-01", 1)
    put(stores[0], good[1000:], "2027-02-01", 2)
    labels = labels_of(good, random)
    table = write_labels(tmp_path / "labels.csv", labels)
    result = look(stores, labels=table, settings={**SETTINGS, "baseline_labels": 20}, draw=True)
    assert result.labeled == 1200 and not result.raised
    report = json.loads(stores[1].read(f"{folder_of_model(MODEL_ID)}/report.json"))
    quarter, everything = report["performance"]
    assert quarter["span"] == "2027-Q1" and everything["span"] == "all"
    assert quarter["malignant"] == sum(labels.values())
    assert quarter["auc"][1] < 0.68 < quarter["auc"][2]  # of scores that are calibrated
    assert abs(quarter["stated"] - quarter["observed"]) < 0.03
    assert "With labels" in result.page
    assert not look(stores, labels=table).raised  # nothing is looked at twice
    # Later labels have nothing to do with the scores, and cancers are more frequent.
    bad = make_events(random, 400, start=5000, day="2027-08-01")
    put(stores[0], bad, "2027-08-01", 3)
    labels |= {event.image: bool(random.random() < 0.5) for event in bad}
    raised = look(stores, labels=write_labels(tmp_path / "more.csv", labels)).raised
    assert {(alarm.kind, alarm.measure) for alarm in raised} >= {("labels", "calibration")}


def test_labels_of_exams_take_the_highest_score(stores, tmp_path):
    random = np.random.default_rng(4)
    events = make_events(random, 30)
    by, labels = read_labels(
        write_labels(
            tmp_path / "labels.csv", {f"exam-ge-{n}": n % 3 == 0 for n in range(30)}, "exam"
        )
    )
    scores = join_labels(events, by, labels)
    assert len(scores) == 30 and all(score.calibrated is None for score in scores)
    for number, score in enumerate(sorted(scores, key=lambda s: int(s.key.split("-")[-1]))):
        assert score.probability == max(e.probability for e in events[2 * number : 2 * number + 2])
        assert score.malignant == (number % 3 == 0)
    result = performance(scores)[-1]
    assert (result.malignant, result.benign, result.stated) == (10, 20, None)


@pytest.mark.parametrize(
    "text",
    [
        "image\na\n",
        "image,exam,label\na,b,benign\n",
        "image,label\na,perhaps\n",
        "image,label\na,benign\na,malignant\n",
        "image,label\n,benign\n",
    ],
)
def test_tables_of_labels_that_cannot_be_used(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(SourceError, match="label"):
        read_labels(str(tmp_path / "labels.csv"))


def test_labels_without_keys_in_the_events_are_a_note(stores, tmp_path):
    put(stores[0], make_events(np.random.default_rng(0), 3, image=""))
    table = write_labels(tmp_path / "labels.csv", {"image-ge-0-CC": True})
    assert any("--event-ids" in note for note in look(stores, labels=table).notes)


class Plan:
    def __init__(self, on_alarm, watched):
        self.on_alarm, self.watched = on_alarm, watched


def test_a_plan_says_what_an_alarm_may_start(stores):
    fill(stores[0])
    alarms = look(stores, settings=SETTINGS).watch.alarms
    assert {on_alarm.subject_of(alarm) for alarm in alarms} == {"inputs"}
    assert on_alarm.alarms_to_act_on(alarms, None) == alarms
    assert on_alarm.alarms_to_act_on(alarms, Plan("retrain", ("inputs",))) == alarms
    assert on_alarm.alarms_to_act_on(alarms, Plan("retrain", ("auc",))) == []
    assert on_alarm.split_command("a 'b c'", Plan("retrain", ())) == ["a", "b c"]
    with pytest.raises(RecipeError, match="does not allow"):
        on_alarm.split_command("a", Plan("notify", ("inputs",)))
    for text in ("", "a 'b"):
        with pytest.raises(RecipeError, match="cannot be used"):
            on_alarm.split_command(text, None)
    note_retraining(stores[1], MODEL_ID, alarms[:1])
    again = look(stores).watch.alarms
    assert [alarm.retrained for alarm in again] == [True] + [False] * (len(alarms) - 1)
    assert on_alarm.alarms_to_act_on(again, None) == again[1:]


@pytest.mark.parametrize("program", ["/no/such/program", sys.executable])
def test_a_command_that_fails_is_an_error(program):
    with pytest.raises(RunError, match="command for alarms failed"):
        on_alarm.start([program, "-c", "raise SystemExit(5)"])


def test_a_reader_skips_what_it_knows(file_store):
    random = np.random.default_rng(0)
    keys = [put(file_store, make_events(random, 1), f"2027-01-{n:02}", n) for n in range(4, 12)]
    reader = EventReader(file_store)
    assert reader.new_keys() == keys
    reader.skip(keys)
    assert reader.through == "2027-01-11" and len(reader.batches) == 3
    assert reader.new_keys(date(2027, 2, 1)) == []
