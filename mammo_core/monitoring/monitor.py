"""`mammo monitor`: what was recorded since the last time, and what it shows.

State and pages of a model are in the store under `monitoring/<model id>/`. The state is written
last and only if nobody else wrote it meanwhile, so a call that ends early changes nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from mammo_core.errors import RecipeError, RunError
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.labels import LabeledScore, LabelWatch, join_labels, read_labels
from mammo_core.monitoring.page import build_page
from mammo_core.monitoring.performance import Performance, calibration_curve, performance
from mammo_core.monitoring.reader import EventReader
from mammo_core.monitoring.reference import ModelReference
from mammo_core.monitoring.settings import WatchSettings
from mammo_core.monitoring.state import State, parse_state
from mammo_core.monitoring.watch import Watch
from mammo_core.scoring.events import ScoreEvent
from mammo_core.store import Store, parse_object

#: Events that are looked at together; memory is bounded, and arrays are long enough to be fast.
_TOGETHER: Final = 4000
_MAXIMUM_STATE_BYTES: Final = 2**26


@dataclass(frozen=True)
class MonitorResult:
    """What a call showed.

    Attributes:
        watch: The watch.
        raised: The alarms that are new.
        read: New events, those of other models included.
        labeled: Scores whose labels are known.
        page: The page (HTML); empty if it was not drawn.
        notes: What a reader must know.
    """

    watch: Watch
    raised: tuple[Alarm, ...]
    read: int
    labeled: int
    page: str
    notes: tuple[str, ...]


def folder_of_model(model_id: str) -> str:
    """Return the folder of a watched model in the store."""
    return f"monitoring/{model_id[:32]}"


def monitor(
    model: ModelReference,
    events: Store,
    store: Store,
    settings: Mapping[str, float] | None = None,
    *,
    labels: str = "",
    restart: bool = False,
    today: date | None = None,
    draw: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> MonitorResult:
    """Look at the events since the last call; write state and pages.

    Args:
        model: The model.
        events: The store of events.
        store: The store of state and pages.
        settings: Names of `WatchSettings` → values, for a new watch; of one that goes on, they must
            be the same.
        labels: URI of a table of labels; empty: none.
        restart: Whether a new watch begins: the first exams from now on are the reference.
        today: The latest day to look at; None: by the clock.
        draw: Whether the page is drawn; else that of an earlier call stays.
        progress: Called with the number of batches that were read, and of all.

    Raises:
        RecipeError: A setting is out of range, or another one than in the watch that goes on.
        RunError: Another call wrote the state meanwhile.
        SourceError: The table of labels cannot be used.
        RecordError: The state is damaged.
        StoreError: A store fails.
    """
    by, known = read_labels(labels) if labels else ("image", {})
    key = f"{folder_of_model(model.model_id)}/state.json"
    stored = store.state(key, _MAXIMUM_STATE_BYTES)
    state = None
    if stored is not None and not restart:
        state = parse_state(parse_object(stored[0], key), f"{key!r} in the store {store.uri}")
        _require_same(settings or {}, state.settings, key)
    reader = EventReader(events)
    if state is not None:
        reader = EventReader(events, state.through, dict(state.batches), state.unreadable)
        watch, label_watch = state.watch(model.gray_levels), state.label_watch()
    else:
        watch = Watch(model.model_id, _settings(settings or {}), model.gray_levels)
        label_watch = None
    keys = reader.new_keys(today)
    raised: list[Alarm] = []
    if restart:
        reader.skip(keys)
        keys = []
    read = 0
    for some in _together(reader.read(keys), lambda done: progress and progress(done, len(keys))):
        read += len(some)
        raised += watch.add(some)
    reader.skip(keys)
    scores: list[LabeledScore] = []
    if known:
        label_watch = label_watch or LabelWatch.start(watch.settings)
        scores = join_labels(_all_events(events, model.model_id), by, known)
        random = np.random.default_rng([int(model.model_id[:15], 16), len(label_watch.used)])
        of_labels = label_watch.add(scores, watch.settings, random)
        watch.alarms += of_labels
        raised += of_labels
    notes = _notes(watch, reader, known, scores)
    results = performance(scores)
    page = ""
    if draw:
        page = build_page(model, watch, results, calibration_curve(scores), notes)
    now = State.of(watch, label_watch, reader.through, reader.batches, reader.unreadable)
    _publish(store, _report(model, now, results), page)
    _write_state(store, key, now, stored[1] if stored is not None else None)
    return MonitorResult(watch, tuple(raised), read, len(scores), page, tuple(notes))


def note_retraining(store: Store, model_id: str, alarms: Sequence[Alarm]) -> None:
    """Note that the command for alarms has been run because of some alarms.

    Args:
        store: The store of the state.
        model_id: Id of the model.
        alarms: The alarms.

    Raises:
        RunError: Another call wrote the state meanwhile.
        StoreError: The store fails.
    """
    key = f"{folder_of_model(model_id)}/state.json"
    stored = store.state(key, _MAXIMUM_STATE_BYTES)
    if stored is None:
        return
    state = parse_state(parse_object(stored[0], key), key)
    ids = {alarm.id for alarm in alarms}
    noted = [
        alarm.model_copy(update={"retrained": True}) if alarm.id in ids else alarm
        for alarm in state.alarms
    ]
    _write_state(store, key, state.model_copy(update={"alarms": noted}), stored[1])


def _settings(given: Mapping[str, float]) -> WatchSettings:
    try:
        return WatchSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecipeError(
            "A setting of the watch is not valid",
            expected=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            received=str(first["input"]),
        ) from error


def _require_same(given: Mapping[str, float], current: WatchSettings, key: str) -> None:
    merged = _settings({**current.model_dump(), **given})
    names = [name for name in given if getattr(merged, name) != getattr(current, name)]
    if names:
        raise RecipeError(
            "The settings of a watch cannot change while it lasts",
            expected=", ".join(f"{name} {getattr(current, name):g}" for name in names),
            received=", ".join(f"{name} {given[name]:g}" for name in names),
            hint=f"Leave them out to go on with {key}, or begin a new watch with --restart",
        )


def _together(
    batches: Iterator[tuple[ScoreEvent, ...]], report: Callable[[int], object]
) -> Iterator[list[ScoreEvent]]:
    some: list[ScoreEvent] = []
    for done, batch in enumerate(batches, start=1):
        some += batch
        report(done)
        if len(some) >= _TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _all_events(events: Store, model_id: str) -> Iterator[ScoreEvent]:
    reader = EventReader(events)
    for batch in reader.read(reader.new_keys()):
        yield from (event for event in batch if event.model_id == model_id)


def _notes(
    watch: Watch, reader: EventReader, known: dict[str, bool], scores: Sequence[LabeledScore]
) -> list[str]:
    notes = []
    if reader.unreadable:
        notes.append(
            f"{reader.unreadable} batches of events could not be read. {reader.first_fault}".strip()
        )
    if watch.other_models:
        notes.append(f"{watch.other_models:,} events of other models were left out.")
    if known and not scores:
        notes.append(
            "No score has one of the labels' keys: events have keys only where they are recorded "
            "with --event-ids."
        )
    if not watch.trained:
        notes.append("The package does not know the gray levels of its training images.")
    return notes


def _report(model: ModelReference, state: State, results: Sequence[Performance]) -> dict[str, Any]:
    """Return what the page says, for programs."""
    names = ("images", "exams", "positive", "decided", "outside")
    return {
        "model": model.describe(),
        "settings": state.settings.model_dump(),
        "events": state.events,
        "first": state.first,
        "last": state.last,
        "groups": {
            group: {name: getattr(known, name) for name in names}
            for group, known in state.groups.items()
        },
        "alarms": [{"id": alarm.id, **alarm.model_dump()} for alarm in state.alarms],
        "performance": [asdict(result) for result in results],
    }


def _publish(store: Store, report: dict[str, Any], page: str) -> None:
    """Write the pages; the state follows, so what a reader finds is never older than it."""
    folder = folder_of_model(report["model"]["model_id"])
    text = json.dumps(report, indent=1, sort_keys=True, allow_nan=False)
    store.write(f"{folder}/report.json", f"{text}\n".encode())
    if page:
        store.write(f"{folder}/report.html", page.encode())


def _write_state(store: Store, key: str, state: State, etag: str | None) -> None:
    text = json.dumps(state.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)
    if store.put_if(key, text.encode(), etag) is None:
        raise RunError(
            f"Another call of `mammo monitor` wrote {key} meanwhile",
            expected="one call at a time for a model",
            received="two",
            hint="Run it again: it reads what is left",
        )
