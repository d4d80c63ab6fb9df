"""Good requests among bombs and slow clients.

`make verify-serving` runs the whole with 2,000 requests and judges the times; otherwise a short
version judges the answers alone.
"""

import os
import threading
import time
import urllib.request

import pytest
from bombs import bombs
from load import Call, run_load

from tests.support.processes import wait_until

pytestmark = pytest.mark.slow
INFER = "/v2/models/whole-image/infer"
WHOLE = bool(os.environ.get("MAMMO_VERIFY_SERVING"))
REQUESTS, WORKERS, SIDE, SHAPE = (
    (2000, 16, 9_900, (1024, 832)) if WHOLE else (120, 12, 6_500, (512, 416))
)


@pytest.fixture(scope="module")
def server(start):
    with start("--max-body-mb", "32", "--idle-s", "2", "--health-port", "0") as running:
        yield running


def bad_calls(image):
    calls = [Call("bomb", one.path, one.body, one.statuses) for one in bombs(INFER, SIDE)]
    # A server that has no time to look takes a pause for none.
    calls += [Call("slow", "/score", image, (200, 408), pause_s=pause) for pause in (1, 4)]
    return calls


class Watcher:
    """Asks for health and notes the memory of a server while a load runs."""

    def __init__(self, server):
        self.seconds, self.megabytes = [], []
        self._server, self._done = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def growth(self):
        """Return by how much the second half of the time needed more memory than the first."""
        half = len(self.megabytes) // 2
        return max(self.megabytes[half:]) - max(self.megabytes[:half])

    def _watch(self):
        url = f"http://127.0.0.1:{self._server.health_port}/v2/health/live"
        while not self._done.is_set() or len(self.megabytes) < 2:
            started = time.monotonic()
            urllib.request.urlopen(url, timeout=60).read()
            self.seconds.append(time.monotonic() - started)
            self.megabytes.append(self._server.memory_mb())
            self._done.wait(0.05)


def test_good_requests_are_answered_among_bombs(server, dicom_bytes, capsys):
    image = dicom_bytes(1, shape=SHAPE)
    good = [Call("good", "/score", image)] * REQUESTS
    bad = bad_calls(image)
    tenth = [bad[number % len(bad)] for number in range(REQUESTS // 10)]
    mixed = [*good[len(tenth) :], *tenth]
    # Every path once: what is allocated at first use is no growth.
    assert not run_load(server.port, [*good[:WORKERS], *bad], WORKERS).wrong
    alone = run_load(server.port, good if WHOLE else good[:WORKERS], WORKERS)
    assert not alone.wrong
    with Watcher(server) as watcher:
        among = run_load(server.port, mixed, WORKERS)
    assert not among.wrong and server.process.poll() is None
    wait_until(lambda: b"mammo_requests_in_flight 0.0" in metrics(server))
    if not WHOLE:  # times and memory are judged where nothing else runs
        return
    memory = max(watcher.megabytes)
    before, after = alone.quantile("good", 0.99), among.quantile("good", 0.99)
    with capsys.disabled():
        print(
            f"\n{REQUESTS} requests, {len(tenth)} of them bombs or slow, {WORKERS} at a time: good "
            f"ones p50 {alone.quantile('good', 0.5):.3f} -> {among.quantile('good', 0.5):.3f} s, "
            f"p99 {before:.3f} -> {after:.3f} s ({after / before:.1f} times); bombs at most "
            f"{among.quantile('bomb', 1):.1f} s; memory at most {memory:.0f} MB, "
            f"{watcher.growth():+.0f} MB in the second half; health at most "
            f"{max(watcher.seconds):.3f} s"
        )
    assert after <= 4 * before
    assert watcher.growth() < 0.1 * memory


def metrics(server):
    return urllib.request.urlopen(f"http://127.0.0.1:{server.health_port}/metrics").read()
