"""Errors of a Beam pipeline keep their parts, and its settings are validated."""

import errno
import logging

import pytest

from mammo_core.errors import DicomError, MammoError, RecordError, StoreError
from mammo_core.ingest.runner import RunnerConfig, guarded, run

ODD = "ünï \"quoted\" \\ back [brackets] {x}\nsecond line\ttab 'single' 100%"


def _raise(error):
    raise error


def _run(error, workers=1):
    def build(pipeline):
        import apache_beam as beam

        _ = pipeline | beam.Create([0, 1, 2]) | beam.Map(guarded(lambda _: _raise(error)))

    run(build, RunnerConfig(workers=workers))


@pytest.mark.parametrize("error_class", [RecordError, DicomError, StoreError])
@pytest.mark.parametrize("hint", [None, "do " + ODD])
def test_an_error_keeps_its_class_and_parts(error_class, hint):
    with pytest.raises(error_class) as caught:
        _run(
            error_class(
                "problem " + ODD, expected="right " + ODD, received="wrong " + ODD, hint=hint
            )
        )
    assert type(caught.value) is error_class
    assert caught.value.problem == "problem " + ODD
    assert caught.value.expected == "right " + ODD
    assert caught.value.received == "wrong " + ODD and caught.value.hint == hint


def test_an_error_in_one_of_several_threads_is_raised():
    with pytest.raises(RecordError, match="one of them"):
        _run(RecordError("one of them", expected="a", received="b"), workers=2)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "free disk space"),
        (errno.EIO, "a working disk"),
    ],
)
def test_a_disk_error_is_a_store_error(number, expected):
    with pytest.raises(StoreError, match=expected):
        _run(OSError(number, "from the system"))


def test_running_out_of_memory_is_an_error():
    with pytest.raises(MammoError, match="Out of memory"):
        _run(MemoryError())


def test_an_unknown_error_is_raised_unchanged():
    with pytest.raises(Exception, match="a bug") as caught:
        _run(ZeroDivisionError("a bug"))
    assert not isinstance(caught.value, MammoError)


def test_the_callers_log_level_is_restored():
    level = logging.getLogger().level
    with pytest.raises(RecordError):
        _run(RecordError("x", expected="a", received="b"))
    assert logging.getLogger().level == level


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match="workers"):
        RunnerConfig(workers=-1)
    with pytest.raises(ValueError, match="threads"):
        RunnerConfig(threads=2)
