"""Progress of long work, without a terminal."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mammo_core import progress as module
from mammo_core.progress import progress


def test_threads_are_counted_and_the_last_line_is_printed(capsys):
    with progress("convert", 200, "images") as shown, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: shown.advance(), range(200)))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[convert] 200/200 images, ") and line.endswith(" images/s")


def test_lines_come_while_it_works(capsys, monkeypatch):
    monkeypatch.setattr(module, "_LINE_EVERY_S", 0.0)
    with progress("sample", 3, "views") as shown:
        shown.advance(2)
        shown.advance()
    told = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == ["[sample] 2/3 views", "[sample] 3/3 views", "[sample] 3/3 views"]


def test_the_last_line_tells_where_a_fault_stopped_it(capsys):
    with pytest.raises(RuntimeError), progress("convert", 9, "images") as shown:
        shown.advance(4)
        raise RuntimeError
    assert capsys.readouterr().out.startswith("[convert] 4/9 images")
