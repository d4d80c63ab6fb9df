"""Codecs that crash, hang or use all memory: real processes with codecs that do so on purpose."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dicom_files import mammogram, random_words
from pydicom.uid import RLELossless

from mammo_core import processes
from mammo_core.dicom import read_image
from mammo_core.dicom.codecs.codestream import Codestream
from mammo_core.dicom.codecs.decoders import Decoders
from mammo_core.dicom.gray import pixel_frame
from mammo_core.errors import DicomError
from tests.support.processes import start_child

#: A codec that fails in the way that its frame names.
CODEC = """
import ctypes, os, signal, sys, time
import numpy as np
poisoned = False

def decode(request, frame):
    global poisoned
    what = frame.decode("latin-1").strip("\\0")
    if poisoned or what == "crash":
        ctypes.string_at(1)
    if what == "poison":
        poisoned = True
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(3)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "spin":
        while True:
            pass
    if what == "sleep":
        time.sleep(1000)
    if what == "memory":
        np.ones(10**9)
    if what == "native memory":
        ctypes.memset(ctypes.CDLL(None).malloc(ctypes.c_size_t(10**10)), 1, 10**10)
    if what == "import":
        import no_such_codec
    if what == "refuse":
        raise ValueError("first line\\nsecond line")
    if what == "modules":
        return np.frombuffer(" ".join(sys.modules).encode(), np.uint8)
    if what == "environment":
        return np.frombuffer(open("/proc/self/environ", "rb").read() + b"-", np.uint8)
    os.write(1, b"noise"); os.write(2, b"noise")
    return np.full((4, 4), request.get("value", 7), np.uint16)
"""


@pytest.fixture
def codec(tmp_path):
    path = tmp_path / "codec.py"
    path.write_text(CODEC)
    return path


@pytest.fixture
def decoders(codec):
    pool = Decoders(codec, seconds=0.5)
    yield pool
    pool.close()


REQUEST = {"rows": 4, "columns": 4}


def decode_valid_frame(decoders, value=7):
    words = decoders.decode({**REQUEST, "value": value}, b"good", "good.dcm")
    assert np.array_equal(words, np.full((4, 4), value))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "crash their codec.*SIGSEGV"),
        ("abort", "crash their codec.*SIGABRT"),
        ("exit", "crash their codec.*exit code 3"),
        ("spin", "too long"),
        ("sleep", "too long"),
        ("memory", "too much memory"),
        ("native memory", "crash their codec.*SIGSEGV"),
        ("refuse", "cannot be decoded.*ValueError: first line"),
    ],
)
def test_a_failing_codec_rejects_only_its_file(decoders, what, reason, capfd):
    decode_valid_frame(decoders)
    start = time.monotonic()
    with pytest.raises(DicomError, match=reason) as caught:
        decoders.decode(REQUEST, what.encode(), "folder/bad.dcm")
    assert str(caught.value).startswith("folder/bad.dcm ")
    assert time.monotonic() - start < 10
    decode_valid_frame(decoders, 9)
    assert capfd.readouterr() == ("", "")


def test_a_process_killed_from_outside_is_not_a_fault_of_the_file(decoders):
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        decoders.decode(REQUEST, b"kill", "a.dcm")
    with pytest.raises(ChildProcessError, match="no_such_codec"):
        decoders.decode(REQUEST, b"import", "a.dcm")
    decode_valid_frame(decoders)


def test_an_idle_process_that_ended_is_replaced(decoders):
    decode_valid_frame(decoders)
    (pid,) = decoders.pids()
    os.kill(pid, signal.SIGKILL)
    decode_valid_frame(decoders)
    assert decoders.pids() != [pid]


def test_a_process_corrupted_by_a_file_does_not_reject_the_next(decoders):
    decoders.decode(REQUEST, b"poison", "a.dcm")
    decode_valid_frame(decoders)


def test_one_process_serves_many_files(decoders):
    for value in range(50):
        decode_valid_frame(decoders, value)
    assert len(decoders.pids()) == 1


def test_threads_share_a_few_processes(codec):
    decoders = Decoders(codec, processes=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: decode_valid_frame(decoders, value), range(200)))
    assert 1 <= len(decoders.pids()) <= 2
    decoders.close()


def test_the_process_imports_little(decoders):
    loaded = bytes(decoders.decode(REQUEST, b"modules", "a")).decode().split()
    assert not {"pydicom", "mammo_core", "pydantic", "cv2", "pandas"} & set(loaded)


def test_the_process_has_no_variable_of_its_parent(codec, monkeypatch):
    for name in ("MAMMO_S3_SECRET_KEY", "MAMMO_SITE_KEY", "AWS_SECRET_ACCESS_KEY", "ANYTHING"):
        monkeypatch.setenv(name, "a-secret")
    text = Decoders(codec).decode({}, b"environment", "a file").tobytes().rstrip(b"-")
    names = {item.partition(b"=")[0] for item in text.split(b"\0")} - {b""}
    # Python sets this one itself where there is no locale.
    assert names <= {b"LC_CTYPE"}


def test_a_fork_starts_new_processes(decoders):
    decode_valid_frame(decoders)
    pids = decoders.pids()
    child = os.fork()
    if child == 0:
        try:
            empty = decoders.pids() == []
            decode_valid_frame(decoders, 3)
            decoders.close()
            os._exit(0 if empty else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    decode_valid_frame(decoders)
    assert decoders.pids() == pids


def test_processes_that_cannot_start_are_reported(codec, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ChildProcessError, match="does not start"):
        decode_valid_frame(Decoders(codec))
    codec.write_text("import no_such_module")
    monkeypatch.undo()
    with pytest.raises(ChildProcessError, match="does not start"):
        decode_valid_frame(Decoders(codec))


@pytest.mark.parametrize("what", ["good", "spin"])
def test_processes_end_when_their_parent_is_killed(codec, what):
    code = (
        "import sys, threading, time\nfrom pathlib import Path\n"
        "from mammo_core.dicom.codecs.decoders import Decoders\n"
        "decoders = Decoders(Path(sys.argv[1]), seconds=60)\n"
        "decoders.decode({}, b'good', 'a')\n"
        "print(*decoders.pids(), flush=True)\n"
        "threading.Thread(target=decoders.decode, args=({}, sys.argv[2].encode(), 'a')).start()\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(codec), what]
    repository = Path(__file__).resolve().parents[2]
    with start_child(command, stdout=subprocess.PIPE, text=True, cwd=repository) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        assert processes.start_time(pid)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 5
        while processes.start_time(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert processes.start_time(pid) is None


def test_a_crash_while_reading_a_file_is_a_dicom_error(tmp_path, codec, monkeypatch):
    decoders = Decoders(codec)
    monkeypatch.setattr(pixel_frame, "DECODERS", decoders)
    monkeypatch.setattr(pixel_frame, "read_codestream", lambda frame, *_: Codestream(frame))
    data = mammogram(random_words())
    data.compress(RLELossless, generate_instance_uid=False)
    from dicom_files import save_frame

    path = save_frame(data, tmp_path / "a.dcm", RLELossless, b"crash\0")
    with pytest.raises(DicomError, match=r"a\.dcm has pixels that crash their codec"):
        read_image(path)
    decoders.close()
