"""Leases: one writer at a time, and none whose process has ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from mammo_core.errors import StoreError
from mammo_core.store import LeaseLostError, find_leases, open_store
from mammo_core.store import lease as leases
from tests.support.processes import start_child, wait_until

_HOLDER = """
import sys, time
from mammo_core.store import open_store
with open_store(sys.argv[1]).lease("datasets/x"):
    print("held", flush=True)
    time.sleep(600)
"""

_PAUSED = """
import sys
from mammo_core.store import LeaseLostError, open_store
with open_store(sys.argv[1]).lease("datasets/x") as lease:
    print(lease.generation, flush=True)
    sys.stdin.read()
    try:
        lease.check()
    except LeaseLostError as error:
        print(type(error).__name__, flush=True)
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


class TestShortLeases:
    """A process that does not renew its lease: paused, or on a machine that was lost."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch):
        monkeypatch.setenv("MAMMO_LEASE_S", "1.5")

    @pytest.fixture
    def stranger(self, store):
        """The lease of k in the name of a process on another machine, which renews nothing."""
        with store.lease("k") as lease:
            file = lease._file
        owner = replace(lease._owner, host="other", token="x", generation=7, released=False)
        assert store.put_if(file, owner.to_bytes(), store.state(file)[1])
        return file, owner

    def test_a_holder_renews_its_lease_and_a_waiter_says_who_it_is(self, store, monkeypatch):
        monkeypatch.setattr(leases, "REPORT_S", 0.5)
        said = []
        with store.lease("k") as held:
            with pytest.raises(StoreError), store.lease("k", wait_s=4, on_wait=said.append):
                pass
            held.check()
        assert said
        assert all(f"waiting for k: process {os.getpid()} on " in text for text in said)
        assert all(", since 2" in text for text in said)

    def test_the_lease_of_a_lost_machine_expires(self, store, stranger):
        with store.lease("k", wait_s=10) as held:
            held.check()
            assert held.generation == 8

    def test_a_lease_lives_as_long_as_its_owner_said(self, store, stranger, monkeypatch):
        monkeypatch.setenv("MAMMO_LEASE_S", "0.7")
        file, owner = stranger
        patient = replace(owner, lease_s=3600)
        assert store.put_if(file, patient.to_bytes(), store.state(file)[1])
        with pytest.raises(StoreError, match=r"process .* on other"), store.lease("k", wait_s=3):
            pass

    def test_processes_of_another_container_count_as_running(self, store, stranger):
        # Containers on the host's network share its name but not its process ids.
        file, owner = stranger
        host = leases._host().rpartition(" ")[0] + " pid:[1]"
        other = replace(owner, host=host, pid=2**22 + 1)  # no such process here
        assert store.put_if(file, other.to_bytes(), store.state(file)[1])
        with pytest.raises(StoreError, match="Another process"), store.lease("k", wait_s=0.3):
            pass

    def test_a_lost_lease_is_noticed_and_kept_by_its_new_holder(self, store):
        with store.lease("k") as held:
            owner = replace(held._owner, host="other", token="x", generation=9)
            while not store.put_if(held._file, owner.to_bytes(), store.state(held._file)[1]):
                pass
            with pytest.raises(LeaseLostError, match="was lost"):
                held.check()
        assert store.state(held._file)[0] == owner.to_bytes()

    def test_the_generation_grows_with_each_owner(self, store):
        generations = []
        for _ in range(3):
            with store.lease("k") as held:
                generations.append(held.generation)
        assert generations == [1, 2, 3]

    def test_a_renewal_whose_answer_was_lost_keeps_the_lease(self, store):
        with store.lease("k") as held:
            # As if a renewal had been written and only its answer been lost.
            store.write(held._file, held._owner.to_bytes())
            with pytest.raises(StoreError), store.lease("k", wait_s=4):
                pass
            held.check()

    def test_a_lease_file_that_was_deleted_is_written_again(self, store):
        with store.lease("k") as held:
            store.delete(held._file)
            wait_until(lambda: store.state(held._file))
            held.check()

    @pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff"])
    def test_a_damaged_lease_file_expires(self, store, stranger, damage):
        store.write(stranger[0], damage)
        with store.lease("k", wait_s=10) as held:
            held.check()

    def test_live_leases_are_those_of_processes_that_run(self, store, stranger):
        with store.lease("mine/1"):
            assert find_leases(store).live == {"mine/1"}  # the stranger renewed nothing
        assert find_leases(store).live == frozenset()

    def test_a_paused_holder_is_replaced_and_notices(self, store):
        command = [sys.executable, "-c", _PAUSED, store.uri]
        pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE}
        with start_child(command, **pipes) as process:
            assert process.stdout.readline() == b"1\n"
            process.send_signal(signal.SIGSTOP)
            with store.lease("datasets/x", wait_s=20) as held:
                assert held.generation == 2
            process.send_signal(signal.SIGCONT)
            process.stdin.close()
            assert process.stdout.read() == b"LeaseLostError\n"
        assert leases.Owner.parse(store.state(held._file)[0]) == replace(held._owner, released=True)


@pytest.mark.parametrize("setting", ["0", "-1", "x", "4000", "nan"])
def test_an_unusable_time_to_live_is_refused(file_store, monkeypatch, setting):
    monkeypatch.setenv("MAMMO_LEASE_S", setting)
    with pytest.raises(StoreError, match="MAMMO_LEASE_S"):
        file_store.lease("k").__enter__()
