"""A simulated year: a new gray curve is noticed, quiet years are quiet, memory is flat.

`make verify-monitoring` does what the names of the constants say in full; here it is less of it.
"""

import os
import resource
from datetime import timedelta

import numpy as np
import pytest

from mammo_core.monitoring.batches import to_bytes
from mammo_core.monitoring.monitor import folder_of_model, monitor
from mammo_core.monitoring.reference import ModelReference
from mammo_core.monitoring.settings import WatchSettings
from mammo_core.monitoring.watch import Watch
from tests.monitoring.simulation import (
    CHANGE,
    MODEL_ID,
    START,
    draw_vendors,
    training_distributions,
    year,
)

WHOLE = bool(os.environ.get("MAMMO_VERIFY_MONITORING"))
EXAMS = 12_500 if WHOLE else 1_000  # of four images each
QUIET_YEARS = 200 if WHOLE else 6
PHANTOMS = 60 if WHOLE else 6
VENDORS = 4 if WHOLE else 2
SIZE = (128, 96) if WHOLE else (96, 72)
pytestmark = pytest.mark.timeout(0 if WHOLE else 600)
SETTINGS = WatchSettings() if WHOLE else WatchSettings(baseline=150, horizon=2_000)


@pytest.fixture(scope="module")
def vendors():
    return draw_vendors(PHANTOMS, SIZE, VENDORS)


@pytest.mark.parametrize("changed", range(1, VENDORS))
def test_a_new_gray_curve_is_noticed_within_300_images_of_the_vendor(
    vendors, changed, tmp_path, file_store
):
    """A call each week; each goes on with the state that the one before wrote."""
    from mammo_core.store import open_store

    model = ModelReference("phantom", 1, MODEL_ID, training_distributions(vendors))
    events, since, peaks, sizes = open_store(str(tmp_path / "events")), 0, [], []
    noticed = None
    settings = SETTINGS.model_dump()
    for week, some in enumerate(year(vendors, 7, EXAMS, changed=changed)):
        for number in range(0, len(some), 500):
            day = f"{some[number].at[:10].replace('-', '/')}"
            key = f"{day}/{number:06}-{week:08x}{number:08x}.json.gz"
            events.write(key, to_bytes(some[number : number + 500]))
        today = (START + timedelta(days=7 * week + 8)).date()
        result = monitor(model, events, file_store, settings, today=today, draw=week == 51)
        assert result.read == len(some)
        for alarm in result.raised:
            assert alarm.group.startswith(vendors[changed].name), alarm.text
            assert alarm.at >= f"{CHANGE:%Y-%m-%d}", alarm.text
        if noticed is None:
            first = min((alarm.at for alarm in result.raised), default="9")
            noticed = first if result.raised else None
            since += sum(
                event.vendor == vendors[changed].name and f"{CHANGE:%Y-%m-%d}" <= event.at <= first
                for event in some
            )
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        state = file_store.entry(f"{folder_of_model(MODEL_ID)}/state.json")
        sizes.append(state.size)
        if WHOLE and week % 10 == 0:
            print(f"week {week}: peak {peaks[-1]:.0f} MB, state {sizes[-1] / 1000:.0f} kB")
    total = result.watch.events
    print(
        f"{total} scores; the new curve of {vendors[changed].name} was noticed at {noticed}, "
        f"after {since} of its images; peak memory {peaks[10]:.0f} MB in week 10, "
        f"{peaks[50]:.0f} MB in week 50; state {sizes[10] / 1000:.0f} and {sizes[50] / 1000:.0f} kB"
    )
    assert total == 4 * EXAMS
    assert noticed is not None and since <= 300
    assert peaks[50] - peaks[10] < 30
    (tmp_path / "page.html").write_text(result.page)


def test_quiet_years_seldom_raise_an_alarm(vendors):
    trained = training_distributions(vendors)
    alarms = []
    # Several processes may each do a part: MAMMO_YEARS=0:100
    first, last = map(int, os.environ.get("MAMMO_YEARS", f"0:{QUIET_YEARS}").split(":"))
    for number in range(first, last):
        watch = Watch(MODEL_ID, SETTINGS, trained)
        for events in year(vendors, 1000 + number, EXAMS, every_view=False):
            watch.add(events)
        assert all(group.drift for group in watch.groups.values())
        if watch.alarms:
            alarms.append(watch.alarms[0].text)
        if WHOLE and number % 10 == 9:
            print(f"years {first} to {number}: {len(alarms)} with an alarm", flush=True)
    print(f"{len(alarms)} of {last - first} quiet years raised an alarm: {alarms}")
    # At most 5 %; three standard errors of a count for the few years here.
    expected = 0.05 * (last - first)
    assert len(alarms) <= expected + (0 if WHOLE else 3 * np.sqrt(expected))
