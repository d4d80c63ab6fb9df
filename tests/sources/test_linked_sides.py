"""Patients who share a picture are drawn together; who is on two sides is left out of one."""

import pandas as pd
import pytest

from mammo_core.sources import SplitConfig
from mammo_core.sources.splitting.linked_sides import left_out, link_patients, linked_sides
from mammo_core.sources.splitting.sides import Vault, all_sides

LINKS = link_patients([("p01", "p05"), ("p05", "p30"), ("p40", "p40"), ("p11", "p12")])


def images(count):
    return pd.DataFrame(
        {
            "image_id": [f"i{at}" for at in range(count)],
            "patient_key": [f"p{at:02d}" for at in range(count)],
            "malignant": [at % 3 == 0 for at in range(count)],
            "lesion_types": "mass",
            "official_splits": ["train" if at % 3 else "test" for at in range(count)],
        }
    )


def test_links_join_patients_through_others():
    assert LINKS == {"p01": "p01", "p05": "p01", "p30": "p01", "p11": "p11", "p12": "p11"}


@pytest.mark.parametrize("name", ["stratified", "folds"])
def test_new_linked_patients_are_drawn_together(name):
    for seed in range(5):
        config = SplitConfig(name=name, seed=seed, folds=3)
        sides = linked_sides(images(60), config, {}, Vault(), LINKS)
        assert len(sides) == 60
        assert len({sides[key] for key in ("p01", "p05", "p30")}) == 1
        assert sides["p11"] == sides["p12"]
        assert linked_sides(images(60), config, {}, Vault(), {}) == all_sides(
            images(60), config, {}, Vault()
        )


def test_a_copy_of_a_known_patient_joins_her_and_known_ones_stay():
    config = SplitConfig(name="stratified")
    for side in ("train", "validation", "test"):
        known = {"p05": (side,), "p11": ("test",), "p12": ("train",)}
        sides = linked_sides(images(60), config, known, Vault(), LINKS)
        assert sides["p01"] == sides["p30"] == sides["p05"] == (side,)
        assert sides["p11"] == ("test",) and sides["p12"] == ("train",)


def test_the_less_fitted_side_of_a_group_is_left_out():
    config = SplitConfig(name="official-without-leak", validation=0)
    sides = linked_sides(images(60), config, {}, Vault(), LINKS)
    chosen = {key: side[0] for key, side in sides.items()}
    # p30 and p12 are in the official test set, p01 and p05, and p11, in training.
    assert left_out(chosen, LINKS) == {"p30", "p12"}
    assert left_out({**chosen, "p11": "excluded"}, LINKS) == {"p30"}
    assert left_out(chosen, {}) == frozenset()


def test_limits_of_one_patient_hold_for_those_linked_with_her():
    config = SplitConfig(name="stratified", test=0.4)
    for seed in range(5):
        drawn = config.model_copy(update={"seed": seed})
        limits = Vault(tested=frozenset({"p30"}), fitted=frozenset({"p12"}))
        sides = linked_sides(images(60), drawn, {}, limits, LINKS)
        assert sides["p01"] == sides["p05"] == sides["p30"] == ("test",)
        assert sides["p11"] == sides["p12"] != ("test",)
