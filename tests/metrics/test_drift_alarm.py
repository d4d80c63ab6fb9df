"""Alarms: seldom in quiet years, soon after a change, with flat memory."""

import os

import numpy as np
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics.drift_alarm import DriftAlarm, _bets


def watch(rng, rate=0.05, horizon=2000, reference=1000):
    return DriftAlarm.watch(rng.normal(size=reference), rate=rate, horizon=horizon)


def test_bets_are_fair():
    """Their mean over uniform p-values is 0, and no gambler can lose more than everything."""
    gains = _bets((np.arange(1_000_000) + 0.5) / 1_000_000)
    # The sum leaves out the last part of the tails.
    np.testing.assert_allclose(gains.mean(axis=0), 0, atol=1.5e-2)
    assert gains.mean(axis=0).max() < 1e-6
    assert gains.min() >= -1


def test_quiet_years_seldom_raise_an_alarm():
    whole = bool(os.environ.get("MAMMO_VERIFY_STATISTICS"))
    years, numbers = (200, 10_000) if whole else (60, 800)
    alarms = 0
    for year in range(years):
        rng = np.random.default_rng(year)
        alarm = watch(rng, rate=0.05, horizon=numbers)
        alarms += alarm.add(rng.normal(size=numbers), rng)
    print(f"{alarms} of {years} quiet years raised an alarm")
    # At most 5 %; three standard errors of a count for the few years here.
    assert alarms <= 0.05 * years + (0 if whole else 3 * np.sqrt(0.05 * years))


@pytest.mark.parametrize("change", ["higher", "lower", "wider", "narrower"])
def test_a_change_after_a_long_quiet_time_is_noticed_soon(change):
    rng = np.random.default_rng(3)
    alarm = watch(rng, horizon=10_000, reference=2000)
    alarm.add(rng.normal(size=5000), rng)
    assert alarm.alarm_at is None
    values = rng.normal(size=300)
    values = {
        "higher": values + 1,
        "lower": values - 1,
        "wider": 2.2 * values,
        "narrower": 0.4 * values,
    }[change]
    assert alarm.add(values, rng)
    assert 5000 < alarm.alarm_at <= 5300


def test_memory_is_flat():
    rng = np.random.default_rng(4)
    alarm = watch(rng, horizon=4000)
    alarm.add(rng.normal(size=2000), rng)
    size = len(alarm.counts)
    alarm.add(rng.normal(size=4000), rng)
    assert len(alarm.counts) == size <= 260 and len(alarm.wealth.by_way) == 10


def test_numbers_may_come_in_any_parts():
    """Each p-value is the rank among the reference and all numbers before, computed directly."""
    reference = np.arange(100.0)
    values = np.random.default_rng(1).normal(90, 40, 300).round(1)
    whole = DriftAlarm.watch(reference, rate=0.01, horizon=200)
    whole.add(values, np.random.default_rng(2))
    parts = DriftAlarm.watch(reference, rate=0.01, horizon=200)
    rng = np.random.default_rng(2)
    for part in np.split(values, [1, 50, 51, 120, 220]):
        parts.add(part, rng)
    np.testing.assert_array_equal(whole.counts, parts.counts)
    np.testing.assert_allclose(whole.wealth.by_way, parts.wealth.by_way)
    assert whole.alarm_at == parts.alarm_at is not None
    # The same, one number and one gambler at a time.
    ties, before = (
        np.random.default_rng(2).random(300),
        list(np.searchsorted(whole.edges, reference, "right")),
    )
    gamblers, money = [], 1.0
    for count, (value, tie) in enumerate(zip(values, ties, strict=True)):
        if count % 50 == 0 and count < 200:
            gamblers.append(np.full(10, 0.25 / 10))
            money -= 0.25
        number = int(np.searchsorted(whole.edges, value, "right"))
        above = sum(other > number for other in before)
        same = sum(other == number for other in before) + 1
        gains = _bets(np.array([(above + tie * same) / (len(before) + 1)]))[0]
        gamblers = [wealth * (1 + gains) for wealth in gamblers]
        before.append(number)
    assert whole.wealth.total == pytest.approx(sum(w.sum() for w in gamblers) + money)


def test_discrete_numbers_and_a_constant_reference():
    rng = np.random.default_rng(5)
    alarm = DriftAlarm.watch(rng.integers(0, 3, 500), rate=0.01, horizon=1000)
    assert not alarm.add(rng.integers(0, 3, 1000), rng)
    constant = DriftAlarm.watch(np.zeros(50), rate=0.01, horizon=1000)
    assert not constant.add(np.zeros(500), rng)
    assert constant.add(np.ones(200), rng)


def test_the_same_numbers_raise_the_same_alarm():
    def first_alarm():
        rng = np.random.default_rng(6)
        alarm = watch(rng)
        alarm.add(rng.normal(0.8, 1, 400), rng)
        return alarm.alarm_at, alarm.wealth.highest

    assert first_alarm() == first_alarm()


@pytest.mark.parametrize(
    "settings",
    [
        {"reference": np.zeros(5), "rate": 0.05, "horizon": 10},
        {"reference": np.zeros(50), "rate": 0.0, "horizon": 10},
        {"reference": np.zeros(50), "rate": 0.05, "horizon": 0},
    ],
)
def test_what_cannot_be_watched_is_refused(settings):
    reference = settings.pop("reference")
    with pytest.raises(RecordError, match="No alarm can be set"):
        DriftAlarm.watch(reference, **settings)


def test_numbers_are_finite():
    rng = np.random.default_rng(7)
    with pytest.raises(ModelError):
        watch(rng).add([0.0, np.nan], rng)
