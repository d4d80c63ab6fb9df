"""Links that lead nowhere, pipes and sockets among the images: each costs its row."""

import csv
import os
import signal
import socket

import pytest

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError
from mammo_core.scoring import ScoreOptions, list_files, score
from mammo_core.scoring.patients import PatientKeys
from mammo_core.scoring.units import group_files
from mammo_core.sources import SourceConfig, SourceFiles, index

SPECIAL = ("absent", "circle", "other-circle", "pipe", "socket")


@pytest.fixture(autouse=True)
def no_waiting():
    """A pipe without a writer would be waited for without an end."""

    def fail(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path, write, monkeypatch):
    folder = tmp_path / "images"
    write.dicom(folder / "good.dcm", write.breast(1), laterality="L", view="CC")
    (folder / "absent").symlink_to("nothing")
    (folder / "circle").symlink_to("circle")
    (folder / "other-circle").symlink_to("circle")
    (folder / "self").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield folder


@pytest.mark.parametrize("name", [*SPECIAL, "self"])
def test_what_is_no_file_is_not_opened(folder, name):
    for read in (read_image, read_facts):
        with pytest.raises(DicomError, match=f"{name} .*file"):
            read(folder / name, name)


def test_what_is_no_file_costs_its_row(folder, package, tmp_path):
    summary = score(package, [folder], tmp_path / "s.csv", ScoreOptions())
    assert (summary.scored, summary.rejected) == (1, len(SPECIAL))
    with summary.rejects.open(newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == set(SPECIAL)
    assert all("Expected a file" in reason for reason in reasons.values())


def test_a_name_that_is_no_utf_8_is_written_in_escapes(package, tmp_path, write):
    folder = tmp_path / "images"
    write.dicom(folder / "good.dcm", write.breast(1), laterality="L", view="CC")
    for number, name in enumerate((os.fsdecode(b"\xff\xfe.dcm"), "a\\b.dcm"), 2):
        write.dicom(folder / name, write.breast(number), laterality="L", view="CC")
    summary = score(package, [folder], tmp_path / "s.csv", ScoreOptions())
    assert (summary.scored, summary.rejected) == (3, 0)
    with summary.out.open(newline="", encoding="utf-8") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    assert set(names) == {"\ufffdff\ufffdfe.dcm", "a\ufffd5cb.dcm", "good.dcm"}
    files = SourceFiles(str(folder))
    assert files.names() == sorted(names)
    for name in set(names) - {"good.dcm"}:
        with files.as_local_file(name) as path, pytest.raises(DicomError, match="cannot be opened"):
            read_facts(path, name)


def test_such_a_name_costs_a_source_its_row(tmp_path, write, monkeypatch):
    monkeypatch.setenv("MAMMO_SITE_KEY", "0123456789abcdef" * 2)
    names = ["Zz1_L_CC.dcm", "Zz2_R_CC.dcm", os.fsdecode(b"Zz\xff_L_CC.dcm"), "Zz\\_L_CC.dcm"]
    for number, name in enumerate(names, 1):
        write.dicom(tmp_path / "neg" / name, write.breast(number), laterality="", view="")
    options = {"patient_ids_in_paths": True}
    tables = index(SourceConfig(adapter="folders", root=str(tmp_path), folders=options), workers=1)
    assert set(tables.images["path"]) == {f"neg/{name}" for name in names[:2]}
    assert set(tables.rejects["item"]) == {"neg/Zz\ufffdff_L_CC.dcm", "neg/Zz\ufffd5c_L_CC.dcm"}
    assert all("Expected a file name in UTF-8" in reason for reason in tables.rejects["reason"])


def test_what_is_no_file_is_a_breast_of_its_own(folder):
    groups = group_files(list_files([folder]), "breast", PatientKeys(), 2)
    assert len(groups) == 1 + len(SPECIAL)


def test_a_source_has_files_only(folder):
    assert SourceFiles(str(folder)).names() == ["good.dcm"]
