"""Patients on no side are stated on the card; a package says whether its patients are known."""

from mammo_core.packaging.card import _training_data
from mammo_core.packaging.contents import TrainingData
from mammo_core.packaging.patient_list import knows_training_patients


def test_the_card_states_who_was_left_out_and_why():
    counts = {"seen_by_ancestors": 3, "images_seen_by_ancestors": 12, "tested_before": 2}
    lines = _training_data(TrainingData(withheld=counts).model_dump())
    assert any("3 patients with 12 images are left out of the test set" in line for line in lines)
    assert any("2 patients are in neither training nor validation" in line for line in lines)
    plain = _training_data(TrainingData().model_dump())
    assert not any("patients are" in line or "left out" in line for line in plain)


def test_a_package_knows_its_training_patients_if_it_names_every_frame():
    assert knows_training_patients({"fitted_frames": ["f"], "fitted_unknown": []})
    assert not knows_training_patients({"fitted_frames": ["f"], "fitted_unknown": ["a start"]})
    assert not knows_training_patients({"frame_id": "f"})
