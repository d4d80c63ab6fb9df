import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mammo_core.cli.sources import app
from mammo_core.errors import RecipeError
from mammo_core.phantom import PhantomConfig, create

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data in {REAL}")
def test_check_without_any_image():
    command = ["check", "--source", "cbis-ddsm", "--tables", str(REAL / "cbis_ddsm_csv")]
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (told["rows"], told["views"], told["patients"]) == (3568, 3032, 1566)
    assert told["leaking_patients"] == 31
    assert told["test_without_leak"] == {"views": 591, "malignant": 244, "patients": 318}
    plain = CliRunner().invoke(app, command).stdout
    assert "31 patients are in train and in test" in plain


def test_check_with_images(tmp_path):
    create(tmp_path, PhantomConfig(patients=4, height=96, width=72), workers=1)
    command = ["check", "--tables", str(tmp_path), "--images", str(tmp_path)]
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert told["rejects"] == []
    assert told["files"]["views"] == told["views"]
    plain = CliRunner().invoke(app, command)
    assert "lesions with a mask" in plain.stdout
    assert "masks:" in plain.stderr


def test_another_source_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["check", "--source", "x", "--tables", str(tmp_path)])
    assert isinstance(result.exception, RecipeError)
