"""Hostile checkpoints are refused by name: nothing is run, and memory stays bounded."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_core.models.checkpoints import CheckpointError, read_checkpoint
from tests.models.checkpoints import hostile

CASES = list(hostile.hostile())


def test_there_are_many() -> None:
    assert len(CASES) >= 60
    assert len({name for name, *_ in CASES}) == len(CASES)


@pytest.mark.parametrize(("data", "named"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_hostile_checkpoint_is_refused(
    data: bytes, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    assert named.partition("\x00")[0] in error.value.received
    assert "weights.pt" in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_unchanged_files_are_read(tmp_path: Path) -> None:
    for data in (hostile.archive(hostile.GOOD), hostile.legacy(hostile.GOOD)):
        path = tmp_path / "weights.pt"
        path.write_bytes(data)
        assert read_checkpoint(path).tensors["weight"].tolist() == [[0, 0], [0, 0]]


def test_references_to_references_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(hostile.archive(hostile.nested_references(200)))
    with pytest.raises(CheckpointError, match="no key"):
        read_checkpoint(path)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A pickle of many values, and one larger than is read, each in 1.5 GB of address space."""
    many = tmp_path / "many.pt"
    many.write_bytes(hostile.archive(hostile.many_opcodes()))
    long = tmp_path / "long.pt"
    with long.open("wb") as file:
        file.write(b"\x80\x02")
        file.write(hostile.text("")[:1] + (2**31).to_bytes(4, "little"))
        file.truncate(2**31 + 7)  # sparse: takes no space on the disk
    script = (
        "import sys; from pathlib import Path\n"
        "from mammo_core.models.checkpoints import CheckpointError, read_checkpoint\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_checkpoint(Path(name))\n"
        "    except CheckpointError as error: print(error.received)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**29, 3 * 2**29))

    done = subprocess.run(
        [sys.executable, "-c", script, str(many), str(long)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        timeout=120,
    )
    assert done.stdout.splitlines() == [
        "a pickle of more than 3,000,000 instructions",
        "a pickle of more than 67,108,864 bytes",
    ], done.stderr
