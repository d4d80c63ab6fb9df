import pandas as pd
import pytest
from pydantic import ValidationError

from mammo_core.errors import SourceError
from mammo_core.sources import SplitConfig, assign, audit


def images(rows):
    """Rows of (patient, malignant, lesion types, official splits), one view each."""
    table = pd.DataFrame(
        rows, columns=["patient_key", "malignant", "lesion_types", "official_splits"]
    )
    table["image_id"] = [f"{at:064x}" for at in range(len(table))]
    return table


def many(count):
    types = ("mass", "calc", "calc+mass")
    return images(
        [
            (f"P_{k}", k % 3 == 0, types[k % 5 % 3], "train" if k % 4 else "test")
            for k in range(count)
        ]
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 10, 23, 200])
def test_stratified_fills_three_splits(count, seed):
    table = many(count)
    result = assign(table, SplitConfig(name="stratified", seed=seed))
    assert set(result.patients["split"]) == {"train", "validation", "test"}
    assert len(result.patients) == count
    again = assign(table.sample(frac=1, random_state=1), SplitConfig(name="stratified", seed=seed))
    pd.testing.assert_frame_equal(result.patients, again.patients)


def test_a_class_of_three_patients_is_in_every_split():
    table = images([(f"P_{k}", k < 3, "mass", "train") for k in range(30)])
    result = assign(table, SplitConfig(name="stratified"))
    malignant = result.patients[result.patients["patient_key"].isin(["P_0", "P_1", "P_2"])]
    assert sorted(malignant["split"]) == ["test", "train", "validation"]


def test_another_seed_draws_others():
    table = many(200)
    drawn = {
        seed: assign(table, SplitConfig(name="stratified", seed=seed)).patients["split"].tolist()
        for seed in (1, 2)
    }
    assert drawn[1] != drawn[2]


@pytest.mark.parametrize(("count", "expected"), [(1, {"train"}), (2, {"train", "test"})])
def test_fewer_than_three_patients(count, expected):
    result = assign(many(count), SplitConfig(name="stratified"))
    assert set(result.patients["split"]) == expected


@pytest.mark.parametrize(("count", "folds"), [(6, 5), (23, 5), (200, 5), (201, 10), (11, 2)])
def test_folds_test_every_patient_once(count, folds):
    table = many(count)
    results = [
        assign(table, SplitConfig(name="folds", folds=folds, fold=fold)) for fold in range(folds)
    ]
    tested = [set(result.patients.query("split == 'test'")["patient_key"]) for result in results]
    assert sorted(key for keys in tested for key in keys) == sorted(table["patient_key"])
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    for result in results:
        assert set(result.patients["split"]) == {"train", "validation", "test"}
        assert result.images.groupby("patient_key")["split"].nunique().max() == 1
        assert len(result.patients) == count
    # Every stratum is spread evenly over the test sets, within one patient.
    strata = table.set_index("patient_key")[["malignant", "lesion_types"]]
    for _, members in strata.groupby(["malignant", "lesion_types"]):
        sizes = [len(keys & set(members.index)) for keys in tested]
        assert max(sizes) - min(sizes) <= 1


def test_folds_depend_on_the_seed_and_need_enough_patients():
    table = many(60)
    drawn = [
        assign(table, SplitConfig(name="folds", seed=seed)).patients["split"].tolist()
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(SourceError, match="not enough patients"):
        assign(many(5), SplitConfig(name="folds", folds=5))
    with pytest.raises(ValidationError, match="fold goes from 0 to 4"):
        SplitConfig(name="folds", folds=5, fold=5)


@pytest.mark.parametrize("name", ["stratified", "folds"])
def test_strata_are_malignancy_and_lesion_type(name):
    table = many(300)
    result = assign(table, SplitConfig(name=name))
    joined = result.patients.merge(table, on="patient_key")
    shares = joined.groupby("split")[["malignant"]].mean()
    kinds = joined.groupby("split")["lesion_types"].value_counts(normalize=True).unstack()
    for share in [shares["malignant"], *(kinds[kind] for kind in kinds)]:
        assert share.max() - share.min() < 0.06


def test_the_papers_shares():
    # Shen et al. 2019: 85:15 for test, of the rest 90:10 for validation.
    sizes = assign(many(1000), SplitConfig(name="stratified")).patients["split"].value_counts()
    assert (sizes["test"], sizes["validation"], sizes["train"]) == (150, 85, 765)


LEAK = images(
    [
        ("P_1", 1, "mass", "train"),
        ("P_1", 0, "calc", "test"),
        ("P_2", 1, "mass", "train"),
        ("P_3", 0, "mass", "train"),
        ("P_4", 1, "calc", "test"),
        ("P_5", 0, "calc", "test+train"),
    ]
)


def test_official_refuses_a_leak_and_recommends_a_split():
    with pytest.raises(SourceError, match="2 patients in train and in test") as caught:
        assign(LEAK, SplitConfig(name="official"))
    assert "official-without-leak" in str(caught.value)


def test_official():
    table = LEAK[LEAK["patient_key"].isin(["P_2", "P_3", "P_4"])]
    result = assign(table, SplitConfig(name="official", validation=0))
    splits = dict(result.patients.itertuples(index=False))
    assert splits == {"P_2": "train", "P_3": "train", "P_4": "test"}
    assert result.leaking == []


def test_the_validation_patients_of_a_source_are_kept():
    splits = ["train"] * 20 + ["validation"] * 4 + ["test"] * 4
    table = images([(f"P_{k}", k % 2, "mass", split) for k, split in enumerate(splits)])
    result = assign(table, SplitConfig(name="official", validation=0.1))
    assert result.images["split"].tolist() == splits


@pytest.mark.parametrize(
    ("leak", "kept", "excluded"), [("drop_from_test", "train", 1), ("drop_from_train", "test", 0)]
)
def test_without_leak(leak, kept, excluded):
    config = SplitConfig(name="official-without-leak", leak=leak, validation=0)
    result = assign(LEAK, config)
    splits = dict(result.patients.itertuples(index=False))
    assert splits["P_1"] == splits["P_5"] == kept
    assert result.leaking == ["P_1", "P_5"]
    assert result.images["split"].tolist()[excluded] == "excluded"
    assert (result.images["split"] == "excluded").sum() == 1


def test_sources_with_one_official_split_are_refused():
    for split in ("train", "test"):
        with pytest.raises(SourceError, match="Choose stratified"):
            assign(images([("P_1", 1, "mass", split)]), SplitConfig(name="official"))
    with pytest.raises(SourceError, match="no image"):
        assign(images([]), SplitConfig(name="stratified"))


def test_audit_counts():
    table = LEAK.assign(
        view_id=[f"v{at}" for at in range(6)], view="CC", laterality="LEFT",
        breast_density=3, bits_stored=16, official_split="train", exam_key="", image_type="film",
    )  # fmt: skip
    lesions = pd.DataFrame(
        {"image_id": table["image_id"][:2], "lesion_type": "mass", "pathology": "BENIGN"}
    )
    rejects = pd.DataFrame(
        {"kind": ["image", "lesion", "lesion", "image"], "cause": [""] * 3 + ["view"]}
    )
    split = assign(table, SplitConfig(name="official-without-leak", validation=0))
    counted = audit(table, lesions, rejects, split)
    assert counted["rejects"] == {"image": 1, "lesion": 2}
    assert counted["left_out"] == {"view": 1} and counted["exams"] == counted["patients"]
    assert counted["leaking_patients"] == ["P_1", "P_5"]
    assert counted["splits"]["excluded"]["images"] == 1
    assert counted["splits"]["train"]["label"]["malignant_views"] == 2
    assert sum(split["images"] for split in counted["splits"].values()) == 6


def three_patients():
    return pd.DataFrame(
        {
            "image_id": ["a", "b", "c"],
            "patient_key": ["P_1", "P_2", "P_3"],
            "malignant": [0, 1, 1],
            "lesion_types": ["mass", "calc", "mass"],
            "official_splits": ["train", "test", "test+train"],
        }
    )


def test_a_given_split_is_followed_and_other_patients_are_excluded():
    given = SplitConfig(name="given", patients={"P_1": "train", "P_3": "validation"})
    result = assign(three_patients(), given)
    assert result.images["split"].tolist() == ["train", "excluded", "validation"]
    assert result.leaking == ["P_3"]


@pytest.mark.parametrize("patients", [{}, {"P_9": "train"}])
def test_a_given_split_of_unknown_or_no_patients_is_refused(patients):
    with pytest.raises(SourceError, match=r"patient keys of the source"):
        assign(three_patients(), SplitConfig(name="given", patients=patients))
