"""Events reach the store in batches; a failing store costs events, never the work."""

import io
import time
from datetime import UTC, date, datetime

import pytest

from mammo_core.errors import RecordError, StoreError
from mammo_core.monitoring import batches
from mammo_core.monitoring.batches import day_of, folder_of, from_bytes, new_key, to_bytes
from mammo_core.monitoring.writer import EventWriter, WriterLimits
from mammo_core.scoring.events import ScoreEvent
from mammo_core.store.s3 import S3Store
from tests.support.processes import wait_until


def event(number=0, **fields):
    return ScoreEvent(
        **{
            "at": "2026-11-30T20:15:00Z",
            "model_id": "0" * 64,
            "probability": number / 1000,
            **fields,
        }
    )


class BrokenStore:
    """Fails to write as long as it is broken; a failure may come after the write."""

    uri = "s3://mammo-events"

    def __init__(self, store, error=None):
        self.store, self.error, self.broken = store, error or ConnectionError("gone"), True

    def write(self, key, data):
        if self.broken:
            self.store.write(key, data)
            raise self.error
        self.store.write(key, data)


def stored(store):
    return [e for key in store.list("") for e in from_bytes(store.read(key), key)]


def test_events_come_back_in_batches(file_store):
    writer = EventWriter(file_store, WriterLimits(batch=100, every_s=3600))
    events = [event(n) for n in range(250)]
    writer.add(events)
    wait_until(lambda: writer.counts()["written"] == 200, 30)
    assert writer.close() == {"written": 250, "dropped": 0, "failures": 0, "waiting": 0}
    assert sorted(stored(file_store), key=lambda e: e.probability) == events
    today = datetime.now(UTC).date()
    keys = list(file_store.list(""))
    assert len(keys) == 3 and {day_of(key) for key in keys} == {today}
    assert keys == list(file_store.list(folder_of(today)))


def test_a_few_events_are_written_after_a_while(file_store):
    writer = EventWriter(file_store, WriterLimits(every_s=0.05))
    writer.add([event()])
    wait_until(lambda: writer.counts()["written"] == 1, 30)
    time.sleep(0.12)  # nothing waits: nothing is written
    writer.add([event(1)])
    wait_until(lambda: writer.counts()["written"] == 2, 30)
    writer.close()
    assert len(stored(file_store)) == 2


def test_a_failing_store_is_reported_and_nothing_is_written_twice(file_store):
    out, store = io.StringIO(), BrokenStore(file_store)
    limits = WriterLimits(batch=2, every_s=0.01, waiting=6, retry_s=0.02)
    writer = EventWriter(store, limits, out)
    started = time.monotonic()
    for number in range(10):
        writer.add([event(number)])
    assert time.monotonic() - started < 1  # it never waits
    wait_until(lambda: writer.counts()["failures"] >= 3, 30)
    assert writer.counts()["dropped"] == 4 and writer.counts()["waiting"] == 6
    store.broken = False
    wait_until(lambda: writer.counts()["written"] == 6, 30)
    counts = writer.close()
    assert counts["written"] == 6 and counts["dropped"] == 4
    # The attempts that failed after the write have the key of the one that succeeded.
    assert len(stored(file_store)) == 6
    lines = out.getvalue().splitlines()
    assert "events cannot be recorded: ConnectionError" in lines[0]
    assert lines[1] == "events are recorded again"
    assert "4 events were not recorded" in lines[2] and len(lines) == 3


def test_the_end_does_not_wait_long_for_a_failing_store(file_store):
    error = StoreError("The store fails", expected="an answer", received="none")
    out = io.StringIO()
    limits = WriterLimits(batch=1, every_s=0.01, retry_s=0.05, close_s=0.3)
    writer = EventWriter(BrokenStore(file_store, error), limits, out)
    writer.add([event()])
    started = time.monotonic()
    assert writer.close()["dropped"] == 1
    assert time.monotonic() - started < 5
    assert "The store fails. Expected an answer" in out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        to_bytes([event()])[:-4],
        to_bytes([event()]).replace(b"\x1f\x8b", b"\x1f\x8c"),
    ],
)
def test_damaged_batches_are_refused(data):
    with pytest.raises(RecordError, match="cannot be read"):
        from_bytes(data, new_key())


@pytest.mark.parametrize(
    "change",
    [
        {"probability": 1.5},
        {"vendor": "x" * 65},
        {"vendor": "a\nb"},
        {"gray": {f"m{n}": 0.5 for n in range(40)}},
        {"unknown": 1},
        {"at": "yesterday"},
    ],
)
def test_events_of_other_content_are_refused(change):
    import gzip
    import json

    values = {**event().model_dump(mode="json"), **change}
    data = gzip.compress(json.dumps({"format": 1, "events": [values]}).encode())
    with pytest.raises(RecordError, match="cannot be read"):
        from_bytes(data, new_key())


def test_a_batch_that_inflates_to_a_gigabyte_is_refused():
    import gzip

    with pytest.raises(RecordError, match="more than"):
        from_bytes(gzip.compress(b" " * 2**24), new_key())


@pytest.mark.parametrize(
    ("key", "day"),
    [
        ("2026/11/30/201500-0123456789abcdef.json.gz", date(2026, 11, 30)),
        ("2026/13/30/201500-0123456789abcdef.json.gz", None),
        ("2026/11/30/other.txt", None),
    ],
)
def test_days_of_keys(key, day):
    assert day_of(key) == day


def test_events_have_credentials_of_their_own(monkeypatch):
    monkeypatch.setenv("MAMMO_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("MAMMO_S3_ACCESS_KEY", "serve")
    monkeypatch.setenv("MAMMO_S3_SECRET_KEY", "secret")
    opened = []
    monkeypatch.setattr(S3Store, "__init__", lambda self, settings, *rest: opened.append(settings))
    batches.open_event_store("s3://mammo-events")
    monkeypatch.setenv("MAMMO_EVENTS_S3_ACCESS_KEY", "events")
    monkeypatch.setenv("MAMMO_EVENTS_S3_SECRET_KEY", "other")
    batches.open_event_store("s3://mammo-events")
    assert [settings.access_key for settings in opened] == ["serve", "events"]
