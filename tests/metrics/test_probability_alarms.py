"""Alarms about shares and calibration: seldom if all is well, soon if it is not."""

import numpy as np
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics.probability_alarms import CalibrationAlarm, ShareAlarm


def _outcomes(rng, probabilities):
    return rng.random(len(probabilities)) < probabilities


def _watch_calibration(rng, probabilities, truth, horizon=1000):
    alarm = CalibrationAlarm.watch(rate=0.05, horizon=horizon)
    alarm.add(probabilities, _outcomes(rng, truth))
    return alarm.wealth


def test_the_bets_on_shares_and_calibrations_are_fair():
    """Their mean gain is 0 where the hypothesis holds exactly, and below 0 for smaller shares."""
    for limit in (0.02, 0.1, 0.5):
        means = []
        for outcome, weight in ((True, limit), (False, 1 - limit)):
            alarm = ShareAlarm.watch(limit, rate=0.5, horizon=1)
            alarm.add([outcome])
            means.append(weight * alarm.wealth.by_way.sum())
        assert sum(means) == pytest.approx(1)
    for p in (0.001, 0.2, 0.9):
        total = 0.0
        for outcome, weight in ((True, p), (False, 1 - p)):
            alarm = CalibrationAlarm.watch(rate=0.5, horizon=1)
            alarm.add([p], [outcome])
            total += weight * alarm.wealth.by_way.sum()
        assert total == pytest.approx(1)


def test_shares_up_to_the_limit_seldom_raise_an_alarm():
    alarms = 0
    for year in range(60):
        rng = np.random.default_rng(year)
        alarm = ShareAlarm.watch(0.1, rate=0.05, horizon=400)
        alarm.add(rng.random(400) < 0.1)
        alarms += alarm.wealth.alarm_at is not None
    assert alarms <= 0.05 * 60 + 3 * np.sqrt(0.05 * 60)


def test_a_share_beyond_the_limit_is_noticed():
    rng = np.random.default_rng(0)
    alarm = ShareAlarm.watch(0.1, rate=0.001, horizon=5000)
    alarm.add(np.r_[rng.random(1000) < 0.05, rng.random(200) < 0.6])
    assert 1000 < alarm.wealth.alarm_at < 1060


def test_calibrated_probabilities_seldom_raise_an_alarm():
    alarms = 0
    for year in range(60):
        rng = np.random.default_rng(year)
        p = rng.beta(1, 6, 400)
        alarms += _watch_calibration(rng, p, p, 400).alarm_at is not None
    assert alarms <= 0.05 * 60 + 3 * np.sqrt(0.05 * 60)


@pytest.mark.parametrize("kind", ["too high", "too low", "too sure", "without information"])
def test_wrong_probabilities_are_noticed(kind):
    rng = np.random.default_rng(1)
    p = rng.beta(1, 2, 1500)
    logit = np.log(p / (1 - p))
    truth = {
        "too high": 1 / (1 + np.exp(1 - logit)),
        "too low": 1 / (1 + np.exp(-1 - logit)),
        "too sure": 1 / (1 + np.exp(-0.4 * logit)),
        "without information": np.full(1500, p.mean()),
    }[kind]
    wealth = _watch_calibration(rng, np.r_[p, p], np.r_[p, truth], 5000)
    assert wealth.alarm_at is not None and 1500 < wealth.alarm_at <= 2500


def test_what_is_no_probability_is_refused():
    alarm = CalibrationAlarm.watch(rate=0.05, horizon=10)
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ModelError, match=r"probabilities|not numbers"):
            alarm.add([p], [True])
    with pytest.raises(RecordError, match="No alarm can be set"):
        ShareAlarm.watch(1.0, rate=0.05, horizon=10)
    with pytest.raises(RecordError, match="No alarm can be set"):
        CalibrationAlarm.watch(rate=0, horizon=10)
