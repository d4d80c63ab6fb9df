import itertools
import json
import os

import cv2
import numpy as np
from dicom_files import mammogram, random_words, save
from typer.testing import CliRunner

from mammo_core.cli.dicom import _files, app


def test_inspect_prints_one_json_object_per_line(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 70), 9, np.uint16))
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), str(tmp_path / "no"), "--json"])
    assert result.exit_code == 0
    good, bad, absent = (json.loads(line) for line in result.stdout.splitlines())
    stated = {name: value for name, value in good.items() if value not in (None, False, [])}
    assert stated == {
        "path": str(tmp_path / "a.png"),
        "readable": True,
        "transfer_syntax": "PNG",
        "photometric": "MONOCHROME2",
        "manufacturer": "unknown",
        "rows": 90,
        "columns": 70,
        "bits_stored": 16,
        **({"warnings": good["warnings"]} if good["warnings"] else {}),
    }
    assert not bad["readable"]
    assert "not a DICOM file" in bad["reason"]
    assert bad["rows"] is None
    assert "cannot be opened" in absent["reason"]
    assert set(bad) == set(good) == set(absent)


def test_inspect_prints_one_sentence_per_file(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 70), 9, np.uint16))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((9, 7), 9, np.uint16))
    lines = CliRunner().invoke(app, ["inspect", str(tmp_path)]).stdout.splitlines()
    assert "90x70, 16 bits" in lines[0]
    assert "rejected" in lines[1]
    assert "too small" in lines[1]


def test_the_facts_of_a_rejected_file_are_shown(tmp_path):
    data = mammogram(random_words(), PresentationIntentType="FOR PROCESSING", ImageLaterality="L")
    save(data, tmp_path / "a.dcm")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--json"])
    report = json.loads(result.stdout)
    assert not report["readable"]
    assert "For Processing" in report["reason"]
    assert (report["rows"], report["laterality"]) == (80, "LEFT")


def test_headers_alone_show_the_facts_and_no_fault_of_the_pixels(tmp_path):
    data = mammogram(random_words(), ViewPosition="XCCL", PixelData=b"\0" * 100)
    save(data, tmp_path / "a.dcm")
    results = []
    for options in ([], ["--headers-only"]):
        result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--json", *options])
        results.append(json.loads(result.stdout))
    whole, header = results
    assert not whole["readable"]
    assert "truncated pixels" in whole["reason"]
    assert header["readable"]
    assert (header["view"], header["view_class"]) == (whole["view"], "CC") == ("XCCL", "CC")
    assert {**whole, "readable": True, "reason": None} == header
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--json", "--headers-only"])
    assert "not a DICOM file" in json.loads(result.stdout)["reason"]


def test_pictures_are_written_as_the_pipeline_sees_them(tmp_path):
    words = random_words()
    (tmp_path / "in" / "deep").mkdir(parents=True)
    inverse = {"PhotometricInterpretation": "MONOCHROME1"}
    save(mammogram(4095 - words, **inverse), tmp_path / "in" / "deep" / "a.dcm")
    eight = (words >> 4).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "in" / "deep" / "a.tif"), eight)
    (tmp_path / "in" / "b.dcm").write_bytes(b"nothing")
    arguments = ["inspect", str(tmp_path / "in"), "--json", "--png", str(tmp_path / "out")]
    lines = CliRunner().invoke(app, arguments).stdout.splitlines()
    assert [json.loads(line)["png"] for line in lines] == [
        None,
        str(tmp_path / "out" / "deep" / "a.png"),
        str(tmp_path / "out" / "deep" / "a.tif.png"),
    ]
    first, second = (
        cv2.imread(str(tmp_path / "out" / "deep" / name), cv2.IMREAD_UNCHANGED)
        for name in ("a.png", "a.tif.png")
    )
    assert first.dtype == np.uint16
    assert np.abs(first / 65535 - words / 4095).max() <= 0.5 / 65535
    assert np.array_equal(second, eight.astype(np.uint16) * 257)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_pictures_need_pixels(tmp_path):
    arguments = ["inspect", str(tmp_path), "--headers-only", "--png", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2


def test_windows_and_spacing_are_shown(tmp_path):
    fields = {"WindowCenter": 5, "WindowWidth": 9, "ImagerPixelSpacing": [0.07, 0.07]}
    save(mammogram(random_words(), **fields), tmp_path / "a.dcm")
    line = CliRunner().invoke(app, ["inspect", str(tmp_path)]).stdout
    assert "0.07 mm (ImagerPixelSpacing)" in line
    assert "LINEAR not applied" in line


def test_odd_names_links_pipes_and_closed_folders(tmp_path):
    (tmp_path / "a\nb\x1b[0m.dcm").write_bytes(b"x")
    (tmp_path / os.fsdecode(b"not-\xff-utf8")).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "circle").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    for options in ([], ["--json"]):
        result = CliRunner().invoke(app, ["inspect", str(tmp_path), *options])
        assert result.exit_code == 0, result.exception
        lines = result.stdout.splitlines()
        assert len(lines) == 4
        assert "\x1b" not in result.stdout
        assert "not a file" in lines[-1]


def test_a_folder_is_walked_lazily(tmp_path):
    # Folders are listed when they are reached: a file added in the meantime is included, and
    # a million names would not be held in memory.
    for folder, number in itertools.product("abc", range(5)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{number}.dcm").write_bytes(b"x")
    walk = _files([tmp_path])
    first = next(walk)
    assert first == tmp_path / "a" / "0.dcm"
    (tmp_path / "c" / "9.dcm").write_bytes(b"x")
    rest = list(walk)
    assert [first, *rest] == sorted(tmp_path.rglob("*.dcm"))
    assert len(rest) == 15
