"""Scoring the views of a breast: exams apart, the best image of each view, the policy."""

import csv
import json

import numpy as np
import pytest

from mammo_core.dicom import read_image
from mammo_core.scoring import ScoreOptions, score

STUDY = "1.2.826.0.1.3680043.8.498.7"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def expected_probability(package, root, views):
    pair = np.zeros((2, 64, 48), np.uint16)
    for index, name in enumerate(views):
        if name is not None:
            image = read_image(root / name)
            pair[index] = package.preprocessing.from_source(
                image.pixels, image.facts.bits_stored, "LEFT"
            )
    return float(package.predict(pair[np.newaxis])[0])


def test_the_best_image_of_a_view_is_used_and_the_others_say_why(two_views, tmp_path, write):
    """Exams of one patient are apart; what the policy holds back is scored on request only."""
    root = tmp_path / "exam"

    def view(name, seed, study, position="CC", **fields):
        path = root / name
        common = {"patient": "A", "study": f"{STUDY}.{study}", "view": position}
        write.dicom(path, write.breast(seed), **common, **fields)

    view("1/cc.dcm", 1, 1)
    view("1/cc_synthetic.dcm", 2, 1, ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"])
    view("1/mlo.dcm", 3, 1, "MLO")
    view("1/mlo_magnified.dcm", 4, 1, "MMLO")
    view("2/cc_implant.dcm", 5, 2, BreastImplantPresent="YES")
    view("2/cc_displaced.dcm", 6, 2, "CCID", BreastImplantPresent="YES")
    view("2/ml.dcm", 7, 2, "ML")
    view("3/cc_part1.dcm", 8, 3, PartialView="YES")
    view("3/cc_part2.dcm", 9, 3, PartialView="YES")
    view("3/mlo.dcm", 10, 3, "MLO")
    out = tmp_path / "s.json"

    def scored(**options):
        summary = score(two_views, [root], out, ScoreOptions(batch_size=2, **options))
        result = json.loads(out.read_text())
        return result, {row["path"]: row for row in result["images"]}, rows(summary.rejects)

    def probability(*pairs):
        values = [expected_probability(two_views, root, pair) for pair in pairs]
        return pytest.approx(sum(values) / len(values), abs=2e-4)

    result, images, rejects = scored()
    held_back = {"1/mlo_magnified.dcm", "2/ml.dcm", "3/cc_part1.dcm", "3/cc_part2.dcm"}
    assert {row["path"] for row in rejects} == held_back
    assert all("on_request" in row["reason"] for row in rejects)
    pair = ("1/cc.dcm", "1/mlo.dcm")
    for name in (*pair, "1/cc_synthetic.dcm"):
        assert images[name]["malignant_probability"] == probability(pair)
    reasons = {
        name: [item["message"] for item in row["warnings"] if item["code"] == "not_used"]
        for name, row in images.items()
    }
    assert reasons["1/cc.dcm"] == reasons["2/cc_displaced.dcm"] == []
    assert "image type synthetic" in reasons["1/cc_synthetic.dcm"][0]
    assert "implant is not displaced" in reasons["2/cc_implant.dcm"][0]
    assert images["1/cc_synthetic.dcm"]["image_type"] == "synthetic"
    assert images["2/cc_displaced.dcm"]["view_modifiers"] == ["implant displaced"]
    assert "implant" in {item["code"] for item in images["2/cc_displaced.dcm"]["warnings"]}
    assert images["2/cc_implant.dcm"]["malignant_probability"] == probability(
        ("2/cc_displaced.dcm", None)
    )
    # One breast in three exams.
    assert len(result["breasts"]) == len(result["patients"]) == 3
    assert len({row["exam"] for row in result["breasts"]}) == 3

    result, images, rejects = scored(on_request=True)
    assert {row["path"] for row in rejects} == {"2/ml.dcm"}  # no view of the network
    assert "there is an image without" in images["1/mlo_magnified.dcm"]["warnings"][-1]["message"]
    parts = [("3/cc_part1.dcm", "3/mlo.dcm"), ("3/cc_part2.dcm", "3/mlo.dcm")]
    for name in ("3/cc_part1.dcm", "3/cc_part2.dcm", "3/mlo.dcm"):
        assert images[name]["malignant_probability"] == probability(*parts)
    assert not any(STUDY in path.read_text() for path in (out, tmp_path / "s.rejects.csv"))
