"""What is compared with what, and what is carried from one call to the next."""

import numpy as np
import pytest

from mammo_core.imaging.plausibility import Distribution
from mammo_core.monitoring import watch as watch_module
from mammo_core.monitoring.settings import GRAY_MEASURES, MEASURES, WatchSettings
from mammo_core.monitoring.state import State, parse_state
from mammo_core.monitoring.watch import OTHERS, Watch, view_for
from tests.monitoring.events import MODEL_ID, make_events

SETTINGS = WatchSettings(baseline=50, horizon=500)


def carried(watch):
    """The watch as the next call has it, through its JSON."""
    import json

    text = State.of(watch, None, "", {}, 0).model_dump_json()
    return parse_state(json.loads(text), "state").watch(watch.trained)


def test_a_change_is_noticed_and_named():
    random = np.random.default_rng(0)
    watch = Watch(MODEL_ID, SETTINGS)
    assert not watch.add(make_events(random, 200))
    assert watch.groups["ge, ffdm"].drift["median"].count > 30
    raised = watch.add(make_events(random, 120, shift=0.15, start=1000, day="2027-07-01"))
    assert {alarm.kind for alarm in raised} == {"change"}
    assert {alarm.measure for alarm in raised} == set(GRAY_MEASURES)
    assert {alarm.group for alarm in raised} == {"ge, ffdm"}
    assert {alarm.at[:10] for alarm in raised} == {"2027-07-01"}
    assert watch.alarms == raised and len({alarm.id for alarm in raised}) == len(raised)
    # It is raised once.
    assert not watch.add(make_events(random, 100, shift=0.15, start=2000))


def test_only_the_vendor_that_changed_raises_an_alarm():
    random = np.random.default_rng(1)
    watch = Watch(MODEL_ID, SETTINGS)
    watch.add(make_events(random, 150) + make_events(random, 150, vendor="hologic"))
    events = make_events(random, 100, start=500)
    events += make_events(random, 100, vendor="hologic", shift=-0.15, start=500)
    assert {alarm.group for alarm in watch.add(events)} == {"hologic, ffdm"}


def test_scores_and_warnings_are_compared_too():
    random = np.random.default_rng(2)
    watch = Watch(MODEL_ID, SETTINGS)
    watch.add(make_events(random, 120, warnings=()))
    raised = watch.add(make_events(random, 120, start=500, warnings=("vendor",)))
    assert {alarm.measure for alarm in raised} == {"warned"}
    raised = watch.add(make_events(random, 120, start=900, probability=0.9))
    assert {alarm.measure for alarm in raised} == {"probability"}


def test_images_outside_the_training_images_are_an_alarm_from_the_first():
    random = np.random.default_rng(3)
    known = Distribution(minimum=0.1, q01=0.25, median=0.5, q99=0.75, maximum=0.9)
    watch = Watch(MODEL_ID, SETTINGS, {"median": known})
    assert not watch.add(make_events(random, 40))
    watch = Watch(MODEL_ID, SETTINGS, {"median": known})
    (alarm,) = watch.add(make_events(random, 40, shift=0.3))
    assert (alarm.kind, alarm.measure) == ("training", "median")
    assert alarm.before == "2 % of the training images outside 0.25 to 0.75"
    group = watch.groups["ge, ffdm"]
    assert group.outside["median"] > 0.5 * group.exams


def test_one_image_stands_for_an_exam_and_both_views_equally_often():
    random = np.random.default_rng(4)
    watch = Watch(MODEL_ID, SETTINGS)
    events = make_events(random, 400)
    watch.add(events)
    group = watch.groups["ge, ffdm"]
    assert group.images == 800 and group.exams == 400
    watch.add(events)  # sent again: the exams are known
    assert group.images == 1600 and group.exams == 400
    shares = np.mean([view_for(event.exam) == "CC" for event in events])
    assert 0.42 < shares < 0.58
    alone = Watch(MODEL_ID, SETTINGS)
    alone.add([event.model_copy(update={"exam": ""}) for event in events])
    assert alone.groups["ge, ffdm"].exams == 800


def test_images_of_an_exam_that_all_count_would_raise_false_alarms():
    """Why one image stands for an exam: bets on copies of a number are not fair."""
    random = np.random.default_rng(5)
    alarms = {True: 0, False: 0}
    for _ in range(6):
        events = make_events(random, 200)
        copies = [events[2 * (n // 4)] for n in range(800)]
        for known in alarms:
            watch = Watch(MODEL_ID, WatchSettings(baseline=50, horizon=2000, groups=1))
            unknown = {} if known else {"exam": ""}
            alarms[known] += bool(watch.add([e.model_copy(update=unknown) for e in copies]))
    assert alarms[True] == 0 and alarms[False] >= 3


def test_further_vendors_are_one_group():
    random = np.random.default_rng(6)
    watch = Watch(MODEL_ID, WatchSettings(groups=2))
    for vendor in ("ge", "hologic", "siemens", "fujifilm"):
        watch.add(make_events(random, 3, vendor=vendor))
    assert set(watch.groups) == {"ge, ffdm", "hologic, ffdm", OTHERS}
    assert watch.groups[OTHERS].images == 12


def test_events_of_another_model_are_left_out():
    random = np.random.default_rng(7)
    watch = Watch(MODEL_ID, SETTINGS)
    watch.add(make_events(random, 5, model_id="b" * 64) + make_events(random, 5))
    assert (watch.events, watch.other_models) == (10, 10)


def test_a_watch_goes_on_where_the_last_call_ended():
    random = np.random.default_rng(8)
    known = Distribution(minimum=0.1, q01=0.3, median=0.5, q99=0.7, maximum=0.9)
    parts = [make_events(random, 30, start=100 * n, shift=0.1 * (n > 4)) for n in range(9)]
    whole = Watch(MODEL_ID, SETTINGS, {"median": known})
    again = Watch(MODEL_ID, SETTINGS, {"median": known})
    for part in parts:
        whole.add(part)
        again.add(part)
        again = carried(again)
    assert whole.alarms
    one, other = (State.of(watch, None, "", {}, 0) for watch in (whole, again))
    assert one == other


def test_the_state_does_not_grow(monkeypatch):
    random = np.random.default_rng(9)
    monkeypatch.setattr(watch_module, "_EXAMS", 1000)
    watch, sizes = Watch(MODEL_ID, SETTINGS), []
    for number in range(9):
        watch.add(make_events(random, 300, start=300 * number))
        sizes.append(len(State.of(watch, None, "", {}, 0).model_dump_json()))
    # Exams are remembered up to a number; afterwards only digits differ.
    assert max(sizes[5:]) < 1.01 * min(sizes[5:])


def test_the_rates_of_all_streams_are_the_stated_rate():
    settings = WatchSettings(rate=0.05, groups=4)
    streams = 5 * (len(MEASURES) + len(GRAY_MEASURES)) + 3
    assert settings.stream_rate * streams == pytest.approx(0.05)
