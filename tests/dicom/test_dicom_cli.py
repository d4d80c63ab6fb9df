import json

import cv2
import numpy as np
from typer.testing import CliRunner

from mammo_core.cli.dicom import app


def test_inspect_tells_one_object_a_line(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 70), 9, np.uint16))
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), str(tmp_path / "no"), "--json"])
    assert result.exit_code == 0
    good, bad, absent = (json.loads(line) for line in result.stdout.splitlines())
    assert good == {
        "path": str(tmp_path / "a.png"),
        "readable": True,
        "reason": None,
        "transfer_syntax": "PNG",
        "photometric": "MONOCHROME2",
        "rows": 90,
        "columns": 70,
        "bits_stored": 16,
        "laterality": None,
        "view": None,
        "spacing_mm": None,
    }
    assert not bad["readable"]
    assert "not a DICOM file" in bad["reason"]
    assert bad["rows"] is None
    assert "cannot be opened" in absent["reason"]
    assert set(bad) == set(good) == set(absent)


def test_inspect_for_people(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 70), 9, np.uint16))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((9, 7), 9, np.uint16))
    lines = CliRunner().invoke(app, ["inspect", str(tmp_path)]).stdout.splitlines()
    assert "90x70, 16 bits" in lines[0]
    assert "refused" in lines[1]
    assert "too small" in lines[1]
