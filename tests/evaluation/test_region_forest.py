import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.second_stage.forest import ForestConfig, RegionForest, _fit, fit_forest
from mammo_core.evaluation.second_stage.report import RegionResult, region_report

NAMES = ("area", "peak", "noise", "missing")
CONFIG = ForestConfig(trees=20, max_depths=(2, 4), least_splits=(0.05, 0.3), folds=3)


def breasts(patients=40, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(random.random(patients) < 0.5, 2).astype(int)
    count = len(labels)
    table = pd.DataFrame(
        {
            "patient_key": np.repeat([f"P_{n:03d}" for n in range(patients)], 2),
            "label": labels,
            "area": labels * 2 + random.normal(size=count),
            "peak": labels + random.normal(size=count),
            "noise": random.normal(size=count),
            "missing": np.nan,
        }
    )
    table.loc[random.random(count) < 0.2, "area"] = np.nan  # missing views
    return table


@pytest.fixture(scope="module")
def fitted():
    return fit_forest(breasts(), NAMES, CONFIG, seed=5, replicates=200)


def test_arrays_predict_like_scikit_learn(fitted):
    table = breasts()
    values = table[list(NAMES)].to_numpy()
    model = _fit(values, table["label"], 20, fitted.max_depth, fitted.least_split, 5)
    fresh = breasts(30, seed=1)
    expected = model.predict_proba(fresh[list(NAMES)].to_numpy())[:, 1]
    assert fitted.forest.predict(fresh) == pytest.approx(expected, abs=1e-12)
    assert roc_auc_score(fresh["label"], fitted.forest.predict(fresh)) > 0.8


def test_the_best_in_cross_validation_is_chosen(fitted):
    assert len(fitted.tried) == 4
    best = max(value for _, _, value in fitted.tried)
    assert fitted.cross_validation.value == best
    assert (fitted.max_depth, fitted.least_split, best) in fitted.tried
    assert fitted.cross_validation.value == pytest.approx(
        roc_auc_score(breasts()["label"], fitted.held_out)
    )
    assert fitted.importance[0][0] == "area" and dict(fitted.importance)["missing"] == 0


def test_held_out_is_held_out():
    # The labels are noise: memorized patients do not show in cross-validation.
    table = breasts(60, seed=3)
    table["label"] = np.repeat(np.random.default_rng(9).integers(0, 2, 60), 2)
    table["patient"] = np.arange(120) // 2  # identifies the patient, hence the label
    forest = fit_forest(table, (*NAMES, "patient"), CONFIG, seed=5, replicates=200)
    assert forest.cross_validation.low < 0.5 < forest.cross_validation.high


def test_fitting_is_deterministic_and_survives_a_file(fitted):
    again = fit_forest(breasts(), NAMES, CONFIG, seed=5, replicates=200)
    data = fitted.forest.to_bytes()
    assert again.forest.to_bytes() == data
    read = RegionForest.from_bytes(data)
    assert read.names == NAMES
    assert (read.predict(breasts(9, 2)) == fitted.forest.predict(breasts(9, 2))).all()


def changed(forest, **arrays):
    buffer = io.BytesIO()
    kept = {name: getattr(forest, name) for name in forest.__dataclass_fields__}
    np.savez_compressed(buffer, **{**kept, **arrays})
    return buffer.getvalue()


def test_a_damaged_file_is_refused(fitted):
    forest = fitted.forest
    data = forest.to_bytes()
    cycle = forest.left.copy()
    cycle[cycle >= 0] = 0  # every node leads back to the first
    for broken in (
        b"",
        data[:200],
        data[:-40],
        changed(forest, left=cycle),
        changed(forest, feature=forest.feature + 99),
        changed(forest, value=forest.value[:-1]),
        changed(forest, names=np.array([None], dtype=object)),
    ):
        with pytest.raises(ModelError, match="second stage cannot be read"):
            RegionForest.from_bytes(broken)


def test_features_or_labels_that_do_not_match_are_an_error(fitted):
    with pytest.raises(RecordError, match="first peak"):
        fitted.forest.predict(breasts().drop(columns="peak"))
    with pytest.raises(RecordError, match="Too few patients"):
        fit_forest(breasts().assign(label=0), NAMES, CONFIG, 5)


def test_report(fitted):
    result = RegionResult(
        cross_validation=fitted.cross_validation,
        auc=None,
        auc_delong=None,
        roc=None,
        max_depth=fitted.max_depth,
        least_split=fitted.least_split,
        tried=fitted.tried,
        importance=fitted.importance,
        n_fitted=80,
        n_fitted_malignant=40,
        n_test=10,
        n_test_malignant=0,
    )
    html = region_report(result, title="tiny: second stage", facts={"Frame": "f" * 32})
    for text in ("80 breasts (40 malignant)", "No AUC on the test set", "f" * 32, "peak"):
        assert text in html
