"""Proportions come from CBIS-DDSM's four official tables (shared/data/SOURCES.md)."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from mammo_core.errors import RecipeError
from mammo_core.phantom import PhantomConfig, optimal_auc, plan_views
from mammo_core.phantom.config import parse_size
from mammo_core.phantom.files import plan_files
from mammo_core.phantom.latent import appearance, contrast, separation


def views_by_split(config: PhantomConfig) -> dict[str, list[bool]]:
    splits: dict[str, list[bool]] = {"train": [], "test": []}
    for view in plan_views(config):
        for split in {split for _, split in view.splits}:
            splits[split].append(view.malignant)
    return splits


@pytest.mark.parametrize("patients", [12, 13, 20, 60])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_classes_are_in_both_splits(patients: int, seed: int) -> None:
    for malignant in views_by_split(PhantomConfig(patients=patients, seed=seed)).values():
        assert set(malignant) == {False, True}


@pytest.mark.parametrize("patients", [12, 20])
def test_all_four_tables_have_rows(patients: int) -> None:
    tables = {
        entry for view in plan_views(PhantomConfig(patients=patients)) for entry in view.splits
    }
    assert tables == {
        (lesion_type, split) for lesion_type in ("mass", "calc") for split in ("train", "test")
    }


def test_proportions_follow_cbis_ddsm() -> None:
    config = PhantomConfig(patients=1566, seed=4)
    views = plan_views(config)
    assert 1.9 <= len(views) / 1566 <= 2.3
    lesions = {
        (view.patient_key, view.laterality, lesion.lesion_type, lesion.number): lesion.malignant
        for view in views
        for lesion in view.lesions
    }
    assert np.mean(list(lesions.values())) == pytest.approx(0.45, abs=0.03)
    splits: dict[str, set[str]] = {}
    for view in views:
        splits.setdefault(view.patient_key, set()).update(split for _, split in view.splits)
    assert sum(len(names) == 2 for names in splits.values()) == 31  # of 1,566: SOURCES.md
    assert np.mean(["test" in names for names in splits.values()]) == pytest.approx(0.3, abs=0.03)
    mixed = [view for view in views if len({lesion.malignant for lesion in view.lesions}) == 2]
    assert 0 < len(mixed) < 0.05 * len(views)


@pytest.mark.parametrize(("patients", "leaks"), [(19, 0), (20, 1), (60, 1), (100, 2)])
def test_leaking_patients(patients: int, leaks: int) -> None:
    views = plan_views(PhantomConfig(patients=patients))
    leaking = {view.patient_key for view in views if len({split for _, split in view.splits}) == 2}
    assert len(leaking) == leaks


def test_a_lesion_is_the_same_in_both_views_of_its_breast() -> None:
    breasts: dict[tuple[str, str], set[object]] = {}
    for view in plan_views(PhantomConfig(patients=40)):
        breasts.setdefault((view.patient_key, view.laterality), set()).add(view.lesions)
    assert all(len(lesions) == 1 for lesions in breasts.values())


def test_layout_and_size_change_no_patient() -> None:
    config = PhantomConfig(patients=15)
    other = PhantomConfig(patients=15, layout="nbia", height=300, width=200)
    assert plan_views(config) == plan_views(other)


def test_uids_are_valid_and_unique() -> None:
    config = PhantomConfig(patients=60)
    sops, series = [], set()
    for mammograms in plan_files(config, plan_views(config)):
        for mammogram in mammograms:
            for file in [
                mammogram.image,
                *(file for region in mammogram.regions for file in (region.crop, region.mask)),
            ]:
                sops.append(file.sop_uid)
                series.add((file.folder, file.series_uid))
                for uid in (file.study_uid, file.series_uid, file.sop_uid):
                    assert uid.startswith("2.25.") and len(uid) <= 64
                    assert not uid[5:].startswith("0")
    assert len(set(sops)) == len(sops)
    assert len({(folder, uid[-5:]) for folder, uid in series}) == len(series)


def test_optimal_auc_is_phi_of_root_two_d() -> None:
    # Phi(1.8808) = 0.97, any table of the normal distribution.
    assert optimal_auc(0.5) == pytest.approx(0.97, abs=0.001)
    assert math.sqrt(2) * separation(0.5) == pytest.approx(1.8808, abs=0.001)


def test_the_degrees_reach_the_optimal_auc() -> None:
    for difficulty in (0.25, 0.5, 1.0):
        views = plan_views(PhantomConfig(patients=3000, difficulty=difficulty))
        lesions = [lesion for view in views if view.view == "MLO" for lesion in view.lesions]
        auc = roc_auc_score([x.malignant for x in lesions], [x.degree for x in lesions])
        assert auc == pytest.approx(optimal_auc(difficulty), abs=0.015)


def test_difficulty_is_monotone_and_smooth() -> None:
    steps = np.linspace(0, 1, 101)
    for function in (optimal_auc, separation, contrast):
        values = np.array([function(step) for step in steps])
        assert (np.diff(values) < 0).all()
        assert np.abs(np.diff(values)).max() < 0.03


def test_difficulty_moves_every_lesion_towards_the_other_class() -> None:
    easy, hard = (
        [x for view in plan_views(PhantomConfig(patients=30, difficulty=d)) for x in view.lesions]
        for d in (0.3, 0.6)
    )
    assert [x.malignant for x in easy] == [x.malignant for x in hard]
    for before, after in zip(easy, hard, strict=True):
        assert (after.degree < before.degree) == before.malignant


def test_appearance_grows_with_the_degree() -> None:
    looks = [appearance(degree) for degree in np.linspace(-4, 4, 50)]
    assert (np.diff(looks) > 0).all()
    assert 0 < looks[0] < 0.01 and 0.99 < looks[-1] < 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 0},
        {"height": 95},
        {"width": 71},
        {"difficulty": 1.1},
        {"difficulty": float("nan")},
        {"height": 4000, "width": 100},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=r"Expected .* Received"):
        PhantomConfig(**wrong)  # type: ignore[arg-type]


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError):
        PhantomConfig(hue="red")  # type: ignore[call-arg]


def test_size_and_layout_are_read_from_text() -> None:
    assert parse_size("576x448") == (576, 448)
    for text in ("576", "576x", "axb", "-5x9", ""):
        with pytest.raises(RecipeError):
            parse_size(text)
    with pytest.raises(RecipeError):
        PhantomConfig(layout="flat")
