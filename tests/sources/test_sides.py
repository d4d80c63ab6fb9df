"""Known patients keep their sides; new ones are drawn against what is there."""

import pandas as pd
import pytest

from mammo_core.errors import SourceError
from mammo_core.sources import SplitConfig, assign
from mammo_core.sources.splitting.sides import Vault, all_sides

TYPES = ("mass", "calc", "calc+mass")


def images(count, official=None):
    """One image of each patient; a third of them malignant."""
    return pd.DataFrame(
        {
            "image_id": [f"{at:064x}" for at in range(count)],
            "patient_key": [f"P_{at}" for at in range(count)],
            "malignant": [at % 3 == 0 for at in range(count)],
            "lesion_types": [TYPES[at % 5 % 3] for at in range(count)],
            "official_splits": [official(at) if official else "train" for at in range(count)],
        }
    )


def official(at):
    return "train" if at % 4 else "test"


CONFIGS = [
    SplitConfig(name="stratified"),
    SplitConfig(name="stratified", validation=0),
    SplitConfig(name="folds", folds=4),
    SplitConfig(name="official"),
    SplitConfig(name="official-without-leak", validation=0.2),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.name}-{config.validation}")
def test_a_first_draw_is_the_draw_of_the_split(config):
    table = images(60, official)
    drawn = all_sides(table, config, {})
    for fold in range(config.folds if config.name == "folds" else 1):
        expected = assign(table, config.model_copy(update={"fold": fold})).patients
        assert {key: sides[fold] for key, sides in drawn.items()} == dict(
            expected.itertuples(index=False)
        )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.name}-{config.validation}")
def test_nobody_changes_sides_when_patients_are_added_weekly(config):
    known = {}
    for count in range(60, 160, 7):
        drawn = all_sides(images(count, official), config, known)
        assert {key: drawn[key] for key in known} == known
        known = drawn
    # Every class has its share of every split, within two patients.
    table = images(count, official).set_index("patient_key")
    for fold in range(len(known["P_0"])):
        sides = pd.Series({key: side[fold] for key, side in known.items()})
        for malignant in (False, True):
            of_class = sides[table["malignant"].reindex(sides.index) == malignant]
            if config.name in ("stratified", "folds"):
                share = config.test if config.name == "stratified" else 1 / config.folds
                assert abs((of_class == "test").sum() - share * len(of_class)) <= 2
            rest = of_class[of_class != "test"]
            assert abs((rest == "validation").sum() - config.validation * len(rest)) <= 2


def test_new_patients_of_a_rare_type_go_where_the_type_is_lacking():
    config = SplitConfig(name="stratified", test=0.5, validation=0)
    table = images(40).assign(malignant=False, lesion_types="mass")
    keys = table["patient_key"]
    known = dict.fromkeys(keys[:10], ("train",)) | dict.fromkeys(keys[10:20], ("test",))
    table.loc[20:, "lesion_types"] = ["mass"] * 16 + ["calc"] * 4
    drawn = all_sides(table, config, known)
    assert sorted(drawn[key][0] for key in keys[36:]) == ["test", "test", "train", "train"]
    assert sum(side == ("test",) for side in drawn.values()) == 20


def test_folds_together_test_every_patient_once_after_growth():
    config = SplitConfig(name="folds", folds=5)
    known = {}
    for count in (11, 12, 30, 61):
        known = all_sides(images(count), config, known)
        assert all(sides.count("test") == 1 for sides in known.values())
        sizes = [sum(s[fold] == "test" for s in known.values()) for fold in range(5)]
        assert max(sizes) - min(sizes) <= 2


def test_a_new_patient_of_the_vault_is_on_no_forbidden_side():
    table = images(90)
    keys = list(table["patient_key"])
    vault = Vault(frozenset(keys[:30]), frozenset(keys[20:60]))
    for name in ("stratified", "official-without-leak"):
        config = SplitConfig(name=name)
        drawn = all_sides(table.assign(official_splits="train"), config, {}, vault)
        assert {drawn[key] for key in keys[:20]} <= {("test",), ("excluded",)}
        assert {drawn[key] for key in keys[20:30]} == {("excluded",)}
        assert ("test",) not in {drawn[key] for key in keys[30:60]}
    drawn = all_sides(table, SplitConfig(name="stratified", seed=9), {}, vault)
    assert {drawn[key] for key in keys[:20]} == {("test",)}
    assert {("train",), ("validation",)} == {drawn[key] for key in keys[30:60]}


def test_a_redraw_keeps_test_patients_and_draws_the_others():
    table, first = images(100), SplitConfig(name="stratified", seed=1)
    known = all_sides(table, first, {})
    tested = frozenset(key for key, side in known.items() if side == ("test",))
    again = all_sides(table, first.model_copy(update={"seed": 2}), {}, Vault(tested))
    assert {key for key, side in again.items() if side == ("test",)} == tested
    validation = [{k for k, s in sides.items() if s == ("validation",)} for sides in (known, again)]
    assert validation[0] != validation[1] and len(validation[0]) == len(validation[1])


def test_a_given_split_moves_no_known_patient():
    table = images(3)
    sides = {"P_0": "train", "P_1": "test"}
    given = SplitConfig(name="given", patients=sides)
    known = {"P_0": ("train",), "P_2": ("test",)}
    assert all_sides(table, given, known)["P_2"] == ("excluded",)
    with pytest.raises(SourceError, match="moves 1 patients whose side is stored"):
        all_sides(table, given, {"P_0": ("test",)})
    assert all_sides(table, given, {}, Vault(frozenset({"P_0", "P_1"}))) == {
        "P_0": ("excluded",),
        "P_1": ("test",),
        "P_2": ("excluded",),
    }


def test_leaking_patients_keep_the_images_of_their_side():
    table = images(2).assign(patient_key="P_0", official_splits=["train", "test"])
    config = SplitConfig(name="official-without-leak", leak="drop_from_train")
    assert assign(table, config, {"P_0": "test"}).images["split"].tolist() == ["excluded", "test"]
    for side in ("train", "validation"):
        split = assign(table, config, {"P_0": side}).images["split"].tolist()
        assert split == [side, "excluded"]
