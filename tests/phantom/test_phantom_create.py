import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mammo_core.errors import RecipeError, SourceError
from mammo_core.phantom import PhantomConfig, create, verify
from mammo_core.phantom.marker import lock_tree

SMALL = PhantomConfig(patients=20, seed=3, height=96, width=72, difficulty=0.5)
PROJECT = Path(__file__).parents[2]


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_two_processes_write_the_same_bytes_as_one(original_tree: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    summary = create(
        tmp_path / "two", SMALL, workers=2, progress=lambda done, total: calls.append((done, total))
    )
    assert contents(tmp_path / "two") == contents(original_tree)
    assert calls[-1] == (summary.counts["views"],) * 2
    assert summary.drawn == summary.counts["views"] and not summary.complete_before


def test_another_seed_gives_another_tree(original_tree: Path, tmp_path: Path) -> None:
    other = create(tmp_path, SMALL.model_copy(update={"seed": 4}), workers=1)
    assert other.digest != json.loads((original_tree / "phantom.json").read_text())["digest"]


def test_counts_are_those_of_the_tree(original_tree: Path) -> None:
    marker = json.loads((original_tree / "phantom.json").read_text())
    counts = marker["counts"]
    assert marker["config"] == SMALL.to_json()
    assert "NOT A PATIENT" in marker["notice"]
    assert counts["patients"] == 20
    assert counts["patients_in_both_splits"] == 1
    assert counts["files"] == len(contents(original_tree)) - 1 == len(marker["files"])
    assert counts["files"] == counts["mammograms"] + 2 * counts["lesions"] + 4
    assert not (original_tree / ".phantom").exists()


def test_a_complete_tree_is_left_unchanged(original_tree: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in original_tree.rglob("*")}
    summary = create(original_tree, SMALL)
    assert summary.complete_before and summary.drawn == 0
    assert {path: path.stat().st_mtime_ns for path in original_tree.rglob("*")} == before


def test_recognizing_a_complete_tree_imports_nothing_heavy(original_tree: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mammo_core.phantom import PhantomConfig, create\n"
        "config = PhantomConfig(patients=20, seed=3, height=96, width=72, difficulty=0.5)\n"
        f"print(create(Path({str(original_tree)!r}), config).complete_before)\n"
        "print({'numpy', 'cv2', 'pydicom', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "set()"]


def test_a_killed_run_is_resumed(original_tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "killed"
    script = (
        "import time\n"
        "from pathlib import Path\n"
        "from mammo_core.phantom import PhantomConfig, create\n"
        "if __name__ == '__main__':\n"
        "    config = PhantomConfig(patients=20, seed=3, height=96, width=72, difficulty=0.5)\n"
        f"    create(Path({str(root)!r}), config, workers=2, progress=lambda *_: time.sleep(0.2))\n"
    )
    program = tmp_path / "program.py"
    program.write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(root.rglob("*.dcm"))) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.3)  # the workers die with their parent
    unfinished = contents(root)
    assert "phantom.json" not in unfinished
    whole = contents(original_tree)
    finished = {path: data for path, data in unfinished.items() if path.endswith(".dcm")}
    assert 20 <= len(finished) < len(whole)
    assert all(whole[path] == data for path, data in finished.items())

    summary = create(root, SMALL, workers=1)
    assert not summary.complete_before
    assert summary.drawn < summary.counts["views"]
    assert contents(root) == whole


def test_missing_and_truncated_files_are_written_again(tmp_path: Path) -> None:
    config = PhantomConfig(patients=2, height=96, width=72, difficulty=0.5)
    create(tmp_path, config, workers=1)
    whole = contents(tmp_path)
    missing, truncated, *_ = sorted(tmp_path.rglob("*.dcm"))
    missing.unlink()
    truncated.write_bytes(b"short")
    table = tmp_path / "mass_case_description_train_set.csv"
    table.unlink()
    assert len(verify(tmp_path)) == 3
    assert not create(tmp_path, config, workers=1).complete_before
    assert contents(tmp_path) == whole
    assert verify(tmp_path) == []


def test_verify_finds_a_changed_byte(tmp_path: Path) -> None:
    create(tmp_path, PhantomConfig(patients=1, height=96, width=72, difficulty=0.5), workers=1)
    changed = sorted(tmp_path.rglob("*.dcm"))[0]
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    assert verify(tmp_path) == [changed.relative_to(tmp_path).as_posix()]


def test_a_foreign_folder_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RecipeError, match=r"not empty.*Expected.*Received.*holiday\.jpg"):
        create(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(RecipeError, match="a file"):
        create(tmp_path / "holiday.jpg", SMALL)


@pytest.mark.parametrize("change", [{"seed": 9}, {"patients": 21}, {"layout": "nbia"}])
def test_a_phantom_of_other_parameters_is_refused(
    original_tree: Path, change: dict[str, int | str]
) -> None:
    name, value = next(iter(change.items()))
    with pytest.raises(RecipeError, match=f"Expected {name} {value}"):
        create(original_tree, SMALL.model_copy(update=change))


def test_an_unfinished_phantom_of_other_parameters_is_refused(tmp_path: Path) -> None:
    with lock_tree(tmp_path, SMALL):
        pass
    with pytest.raises(RecipeError, match="other parameters"):
        create(tmp_path, SMALL.model_copy(update={"difficulty": 0.1}))


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from mammo_core.errors import RecipeError\n"
        "from mammo_core.phantom import PhantomConfig, create\n"
        "try:\n"
        "    config = PhantomConfig(patients=20, seed=3, height=96, width=72, difficulty=0.5)\n"
        f"    create(Path({str(tmp_path)!r}), config)\n"
        "except RecipeError as error:\n"
        "    print(error)"
    )
    with lock_tree(tmp_path, SMALL):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
        )
    assert "being created by another process" in done.stdout


def test_a_damaged_marker_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "phantom.json").write_text("{}")
    with pytest.raises(SourceError, match=r"phantom\.json cannot be read"):
        create(tmp_path, SMALL)
    with pytest.raises(SourceError):
        verify(tmp_path / "nowhere")


@pytest.mark.parametrize("patients", [1, 2, 3])
def test_the_smallest_trees_are_complete(tmp_path: Path, patients: int) -> None:
    config = PhantomConfig(patients=patients, height=96, width=72, difficulty=0.5)
    summary = create(tmp_path, config, workers=1)
    assert summary.counts["patients"] == patients
    assert len(list(tmp_path.glob("*.csv"))) == 4


def test_a_tree_from_before_there_was_a_likeness_stays_complete(original_tree: Path) -> None:
    marker = json.loads((original_tree / "phantom.json").read_text())
    assert "likeness" not in marker["config"]
    assert create(original_tree, SMALL).complete_before
    with pytest.raises(RecipeError, match=r"Expected likeness 0\.5\. Received likeness 0\."):
        create(original_tree, SMALL.model_copy(update={"likeness": 0.5}))
