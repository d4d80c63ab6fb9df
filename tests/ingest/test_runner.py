"""Faults of a Beam pipeline come back whole, and its settings are checked."""

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


@pytest.mark.parametrize("kind", [RecordError, DicomError, StoreError])
@pytest.mark.parametrize("hint", [None, "do " + ODD])
def test_a_fault_keeps_its_kind_and_parts(kind, hint):
    with pytest.raises(kind) as caught:
        _run(kind("problem " + ODD, expected="right " + ODD, received="wrong " + ODD, hint=hint))
    assert type(caught.value) is kind
    assert caught.value.problem == "problem " + ODD
    assert caught.value.expected == "right " + ODD
    assert caught.value.received == "wrong " + ODD and caught.value.hint == hint


def test_a_fault_among_several_threads():
    with pytest.raises(RecordError, match="one of them"):
        _run(RecordError("one of them", expected="a", received="b"), workers=2)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "space on the disk"),
        (errno.EIO, "a disk that works"),
    ],
)
def test_a_disk_that_fails_is_the_stores_fault(number, told):
    with pytest.raises(StoreError, match=told):
        _run(OSError(number, "from the system"))


def test_lost_memory_is_told():
    with pytest.raises(MammoError, match="Out of memory"):
        _run(MemoryError())


def test_a_fault_that_is_none_of_ours_comes_as_it_is():
    with pytest.raises(Exception, match="a bug") as caught:
        _run(ZeroDivisionError("a bug"))
    assert not isinstance(caught.value, MammoError)


def test_the_callers_logging_is_left_alone():
    level = logging.getLogger().level
    with pytest.raises(RecordError):
        _run(RecordError("x", expected="a", received="b"))
    assert logging.getLogger().level == level


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="workers"):
        RunnerConfig(workers=-1)
    with pytest.raises(ValueError, match="threads"):
        RunnerConfig(threads=2)
