"""Temporary files are private, and do not outlast a process that was killed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import scratch
from mammo_core.store.temporary import held_folder, remove_left, require_private

WRITE = """
import sys, tempfile
from pathlib import Path
from mammo_core.store.temporary import use_private_folder
folder = use_private_folder()
assert use_private_folder() == folder == Path(tempfile.gettempdir())
(Path(tempfile.mkdtemp()) / "pixels").write_bytes(b"patient")
print(folder, flush=True)
if "wait" in sys.argv:
    sys.stdin.read()
"""


def start(tmp_path, *arguments, **options):
    environment = {name: value for name, value in os.environ.items() if "MAMMO" not in name}
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, *arguments],
        env={**environment, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def first_line(process):
    return Path(process.stdout.readline().strip())


def test_the_next_process_removes_what_a_killed_one_left(tmp_path):
    running, killed = start(tmp_path, "wait"), start(tmp_path, "wait")
    kept, left = first_line(running), first_line(killed)
    assert kept.parent == left.parent == tmp_path and kept != left
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    killed.kill()
    killed.communicate()
    assert list(left.rglob("pixels"))
    ended = start(tmp_path)
    ended_folder = Path(ended.communicate()[0].strip())
    assert ended.returncode == 0
    assert not left.exists()  # removed by the next
    assert not ended_folder.exists()  # removed by itself
    assert list(kept.rglob("pixels"))  # its process runs
    running.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_not_ours_are_left_alone(tmp_path):
    shared = tmp_path / "mammo-run-shared"
    shared.mkdir()
    shared.chmod(0o755)  # the files of another user look like this
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "mammo-run-link").symlink_to(tmp_path / "elsewhere")
    new = tmp_path / "mammo-run-new"
    new.mkdir(mode=0o700)
    old = tmp_path / "mammo-run-old"
    old.mkdir(mode=0o700)
    os.utime(old, (0, 0))
    assert remove_left(tmp_path) == [old]
    assert {path.name for path in tmp_path.iterdir()} == {
        "elsewhere", "mammo-run-link", "mammo-run-new", "mammo-run-shared"
    }  # fmt: skip


def test_a_folder_in_use_is_not_removed(tmp_path):
    with held_folder(tmp_path, "part-") as folder:
        assert remove_left(tmp_path, "part-") == []
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_cache_has_a_random_name_and_is_shared(tmp_path, monkeypatch):
    monkeypatch.delenv("MAMMO_SCRATCH", raising=False)
    monkeypatch.setenv("MAMMO_TEMPORARY_BASE", str(tmp_path))
    # Whoever makes such a folder first, open to others or as a link, gains nothing.
    (tmp_path / "mammo-scratch-0").mkdir(mode=0o777)
    (tmp_path / "mammo-scratch-0").chmod(0o777)
    (tmp_path / "mammo-scratch-1").symlink_to(tmp_path)
    cache = scratch.folder()
    assert cache == scratch.folder()
    assert cache.name not in ("mammo-scratch-0", "mammo-scratch-1")
    assert stat.S_IMODE(cache.lstat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_cache_that_others_can_enter_is_refused(tmp_path, monkeypatch, kind):
    folder = tmp_path / "scratch"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o750)
    elif kind == "link":
        (tmp_path / "target").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "target")
    else:
        folder.write_text("")
    monkeypatch.setenv("MAMMO_SCRATCH", str(folder))
    with pytest.raises(StoreError, match="is not private"):
        scratch.folder()


def test_a_missing_cache_is_created(tmp_path):
    folder = require_private(tmp_path / "a" / "b")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert require_private(folder) == folder
