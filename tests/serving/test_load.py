"""Good requests among bombs and slow clients.

`make verify-serving` runs the whole with 2,000 requests and judges the times; otherwise a short
version judges the answers alone.
"""

import os

import pytest
from bombs import bombs
from load import Call, run_load

from tests.support.processes import wait_until

pytestmark = pytest.mark.slow
INFER = "/v2/models/whole-image/infer"
WHOLE = bool(os.environ.get("MAMMO_VERIFY_SERVING"))
REQUESTS, WORKERS, SIDE = (2000, 16, 9_900) if WHOLE else (120, 12, 6_500)


@pytest.fixture(scope="module")
def server(start):
    with start("--max-body-mb", "32", "--idle-s", "2", "--health-port", "0") as running:
        yield running


def bad_calls(image):
    calls = [Call("bomb", one.path, one.body, one.statuses) for one in bombs(INFER, SIDE)]
    calls.append(Call("slow", "/score", image, (408,), pause_s=4))
    calls.append(Call("slow", "/score", image, (200,), pause_s=1))
    return calls


def test_good_requests_are_answered_among_bombs(server, dicom_bytes, capsys):
    import threading
    import time
    import urllib.request

    image = dicom_bytes(1, shape=(2048, 1664) if WHOLE else (512, 416))
    good = [Call("good", "/score", image)] * REQUESTS
    bad = bad_calls(image)
    tenth = [bad[number % len(bad)] for number in range(REQUESTS // 10)]
    mixed = [*good[len(tenth) :], *tenth]
    run_load(server.port, [*good[:WORKERS], *bad], WORKERS)  # every path once
    alone = run_load(server.port, good, WORKERS)
    assert not alone.wrong
    first = run_load(server.port, mixed, WORKERS)
    memory = server.memory_mb()
    health, done = [], threading.Event()

    def ask_health():
        url = f"http://127.0.0.1:{server.health_port}/v2/health/live"
        while not done.is_set():
            started = time.monotonic()
            urllib.request.urlopen(url, timeout=30).read()
            health.append(time.monotonic() - started)
            done.wait(0.05)

    watcher = threading.Thread(target=ask_health)
    watcher.start()
    second = run_load(server.port, mixed, WORKERS, seed=2)
    done.set()
    watcher.join()
    assert not first.wrong and not second.wrong
    assert health and server.process.poll() is None
    # The memory of the second round is that of the first: nothing is kept.
    growth = server.memory_mb() - memory
    assert growth < 0.1 * memory
    wait_until(lambda: b"mammo_requests_in_flight 0.0" in metrics(server))
    if WHOLE:
        before, after = alone.quantile("good", 0.99), second.quantile("good", 0.99)
        with capsys.disabled():
            print(
                f"\n{REQUESTS} requests, {len(tenth)} of them bombs or slow: good ones p50 "
                f"{alone.quantile('good', 0.5):.3f} -> {second.quantile('good', 0.5):.3f} s, p99 "
                f"{before:.3f} -> {after:.3f} s ({after / before:.1f} times); bombs p99 "
                f"{second.quantile('bomb', 0.99):.1f} s; memory {memory:.0f} MB, {growth:+.0f} MB; "
                f"health at most {max(health):.3f} s"
            )
        assert after <= 4 * before


def metrics(server):
    import urllib.request

    return urllib.request.urlopen(f"http://127.0.0.1:{server.health_port}/metrics").read()
