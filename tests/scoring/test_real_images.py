"""Real mammograms scored with a package for phantoms."""

import csv

import pytest

from mammo_core.packaging import TrainingData, load
from mammo_core.scoring import score

pytestmark = pytest.mark.real


def test_real_images_are_scored_with_warnings_and_the_same_bytes(tmp_path, make_package, real_data):
    trained = TrainingData(
        views=("CC", "MLO"), manufacturers=("mammo pipelines",), bits_stored=(8, 12, 16)
    )
    package = load(make_package(tmp_path / "package", training_data=trained))
    [jpeg2000] = real_data.rglob("MG1_J2KI.dcm")
    inputs = [real_data / "cbis_ddsm_png", jpeg2000]
    summary = score(package, inputs, tmp_path / "1.csv")
    assert (summary.scored, summary.rejected, summary.warned) == (7, 0, 7)
    with (tmp_path / "1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["view"] for row in rows[:6]} == {"CC", "MLO"}
    assert {row["patient"] for row in rows[:6]} == {"P_00041", "P_00127", "P_00202"}
    assert all("vendor" in row["warnings"] for row in rows)
    score(package, inputs, tmp_path / "2.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    for name in ("breasts", "patients", "rejects"):
        first, second = (tmp_path / f"{number}.{name}.csv" for number in (1, 2))
        assert first.read_bytes() == second.read_bytes()
