"""Leases: one writer at a time, and none whose process has ended."""

import subprocess
import sys
import threading
import time

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import lease as leases
from mammo_core.store import open_store
from tests.support.processes import start_child

_HOLDER = """
import sys, time
from mammo_core.store import open_store
with open_store(sys.argv[1]).lease("datasets/x"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(store):
    """A process that holds the lease of datasets/x."""
    command = [sys.executable, "-c", _HOLDER, store.uri]
    with start_child(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


def test_two_threads_never_hold_a_lease_together(store):
    inside, counts, done = [], [], []

    def work(number):
        with open_store(store.uri).lease("a/b", wait_s=60):
            inside.append(number)
            counts.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2] and max(counts) == 1


def test_leases_of_other_keys_do_not_wait(store):
    with store.lease("a/b") as first, store.lease("a+b", wait_s=5), store.lease("a", wait_s=5):
        first.check()
    assert list(store.list("")) == []  # leases are never listed


def test_a_long_key_can_be_leased(store):
    with store.lease("/".join(["part" * 20] * 6), wait_s=5) as held:
        held.check()


def test_waiting_for_a_running_holder_ends_with_an_error(store, holder):
    start = time.monotonic()
    with pytest.raises(StoreError, match="Another process has been writing") as caught:
        store.lease("datasets/x", wait_s=0.5).__enter__()
    assert "datasets/x" in str(caught.value) and time.monotonic() - start < 10


def test_a_killed_holder_is_replaced_at_once(store, holder):
    holder.kill()
    holder.wait()
    start = time.monotonic()
    with store.lease("datasets/x", wait_s=10) as lease:
        lease.check()
    # Far below the time to live of a lease on S3: its process is known to have ended.
    assert time.monotonic() - start < 5 < leases.TIME_TO_LIVE_S


def test_an_error_releases_the_lease(store):
    with pytest.raises(RuntimeError), store.lease("k"):
        raise RuntimeError
    with store.lease("k", wait_s=2):
        pass


class TestOnS3:
    """Cases that only objects have; two stores represent two machines."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch):
        monkeypatch.setattr(leases, "TIME_TO_LIVE_S", 0.8)

    @pytest.fixture
    def store(self, s3_environment):
        return open_store(f"s3://mammo-tests/{time.time_ns()}")

    @pytest.mark.s3
    def test_a_holder_renews_its_lease(self, store):
        with store.lease("k") as held:
            with pytest.raises(StoreError), store.lease("k", wait_s=2.5):
                pass
            held.check()

    @pytest.mark.s3
    def test_the_lease_of_a_lost_machine_expires(self, store):
        lost = leases.ObjectLease(store, ".leases/k")
        lost._owner["host"] = "a lost machine"
        assert store.put_if(lost._key, lost._body(), None)  # and never renewed
        with store.lease("k", wait_s=10) as held:
            held.check()

    @pytest.mark.s3
    def test_processes_of_another_container_count_as_running(self, store):
        # Containers on the host's network share its name but not its process ids.
        other = leases.ObjectLease(store, ".leases/k")
        other._owner["host"] = leases._host().rpartition(" ")[0] + " pid:[1]"
        other._owner["pid"] = 2**22 + 1  # no such process here
        assert store.put_if(other._key, other._body(), None)
        with pytest.raises(StoreError, match="Another process"):
            leases.ObjectLease(store, ".leases/k").acquire(0.3)

    @pytest.mark.s3
    def test_a_lost_lease_is_noticed_and_kept_by_its_new_holder(self, store):
        with store.lease("k") as held:
            state = store.state(".leases/k")
            stranger = b'{"host": "other", "pid": 1, "started": "1", "token": "x"}'
            assert store.put_if(".leases/k", stranger, state[1])
            with pytest.raises(StoreError, match="was lost"):
                held.check()
        assert store.state(".leases/k")[0] == stranger

    @pytest.mark.s3
    def test_a_renewal_whose_answer_was_lost_keeps_the_lease(self, store):
        with store.lease("k") as held:
            # As if a renewal had been written and only its answer been lost.
            store.write(".leases/k", held._body())
            time.sleep(1.2)
            held.check()
            with pytest.raises(StoreError), store.lease("k", wait_s=1.5):
                pass
