"""Whether groups differ: rarely where they do not, and "cannot tell" where a set is small."""

import numpy as np
import pandas as pd
import pytest

from mammo_core.evaluation import EvaluationConfig, evaluate, report
from mammo_core.evaluation.group_differences import compare_groups


def table(rng, patients, gain, prefix=""):
    """Two views of a breast of each patient; half of the patients are malignant."""
    labels = np.arange(patients) % 2
    shared = rng.normal(gain * labels)
    noise = rng.normal(0, 0.5, 2 * patients)
    return pd.DataFrame(
        {
            "image_id": [f"{prefix}{k}{view}" for k in range(patients) for view in "ab"],
            "patient_key": np.repeat([f"{prefix}p{k}" for k in range(patients)], 2),
            "label": np.repeat(labels, 2),
            "probability": 1 / (1 + np.exp(-np.repeat(shared, 2) - noise)),
        }
    )


def compare(groups, replicates=300, least=10):
    return compare_groups("site", groups, least_patients=least, replicates=replicates)


def test_equal_groups_rarely_differ():
    rng = np.random.default_rng(1)
    verdicts = [
        compare({name: table(rng, 80, 1.5, name) for name in "xyz"}).verdict for _ in range(100)
    ]
    # 5 of 100 by the level of the test.
    assert verdicts.count("differ") <= 11


def test_a_large_difference_is_found_and_the_worst_group_named():
    rng = np.random.default_rng(2)
    result = compare({"x": table(rng, 200, 2.5, "x"), "y": table(rng, 200, 0.3, "y")})
    assert (result.verdict, result.worst) == ("differ", "y") and result.p_value < 0.001


def test_a_large_set_without_a_difference_says_so():
    rng = np.random.default_rng(3)
    result = compare({name: table(rng, 1200, 2.0, name) for name in "xy"})
    assert result.verdict == "no difference" and result.detectable < 0.1


def test_a_small_set_cannot_tell():
    rng = np.random.default_rng(4)
    result = compare({name: table(rng, 24, 1.0, name) for name in "xy"})
    assert result.verdict == "cannot tell" and result.detectable > 0.1
    few = compare({"x": table(rng, 100, 1.0, "x"), "y": table(rng, 8, 1.0, "y")})
    assert (few.verdict, few.groups, few.left_out) == ("cannot tell", ("x",), ("y",))
    assert few.p_value is None and compare({}).verdict == "cannot tell"


def test_what_is_detectable_is_found_in_four_of_five_sets():
    """The difference that a set of this size claims to find in 80 of 100."""
    rng = np.random.default_rng(5)
    differ, claimed = [], []
    for _ in range(80):
        groups = {"x": table(rng, 100, 2.2, "x"), "y": table(rng, 100, 1.2, "y")}
        result = compare(groups)
        differ.append(result.verdict == "differ")
        claimed.append(result.detectable)
    # The AUCs are 0.93 and 0.78: their difference is as large as what is claimed to be detectable.
    assert 0.1 < np.mean(claimed) < 0.2
    assert 0.6 < np.mean(differ) < 0.95


def test_views_of_the_same_patients_are_compared_as_pairs():
    """Two groups of the same patients vary together: the comparison is finer than of others."""
    rng = np.random.default_rng(6)
    rows = table(rng, 100, 1.5)
    first, second = rows.iloc[::2], rows.iloc[1::2]
    paired = compare({"CC": first, "MLO": second})
    apart = compare({"CC": first, "MLO": second.assign(patient_key=second["patient_key"] + "x")})
    assert paired.detectable < 0.8 * apart.detectable


def test_it_is_in_the_report(predictions):
    test, validation = predictions(120, 1), predictions(60, 2, "V")
    test["manufacturer"] = np.where(test["patient_key"].str[-1].isin(list("01234")), "A", "B")
    test["implant"] = [None, False, True, False] * (len(test) // 4)
    result = evaluate(test, validation, EvaluationConfig(bootstrap_replicates=200), 0)
    by = {difference.by: difference for difference in result.group_differences}
    assert by["manufacturer"].groups == ("A", "B") and by["view"].groups == ("CC", "MLO")
    # Those with an implant are right breasts here, all benign.
    assert by["implant"].groups == ("no", "unknown") and by["implant"].left_out == ("yes",)
    html = report(title="t", facts={}, result=result)
    assert "Do the groups differ?" in html and "too small to tell" in html


@pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
def test_the_order_of_the_groups_changes_nothing(order):
    tables = {name: table(np.random.default_rng(7), 60, 1.0, name) for name in ("x", "y")}
    result = compare({name: tables[name] for name in order})
    reference = compare(tables)
    assert result.p_value == pytest.approx(reference.p_value)
