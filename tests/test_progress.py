"""Progress of long work, without a terminal."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mammo_core import progress as module
from mammo_core.progress import progress


def test_progress_counts_in_threads_and_prints_the_last_line(capsys):
    with progress("convert", 200, "images") as bar, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bar.advance(), range(200)))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[convert] 200/200 images, ") and line.endswith(" images/s")


def test_lines_are_printed_during_the_work(capsys, monkeypatch):
    monkeypatch.setattr(module, "_LINE_INTERVAL_S", 0.0)
    with progress("sample", 3, "views") as bar:
        bar.advance(2)
        bar.advance()
    lines = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["[sample] 2/3 views", "[sample] 3/3 views", "[sample] 3/3 views"]


def test_the_last_line_shows_where_an_error_stopped_the_work(capsys):
    with pytest.raises(RuntimeError), progress("convert", 9, "images") as bar:
        bar.advance(4)
        raise RuntimeError
    assert capsys.readouterr().out.startswith("[convert] 4/9 images")
