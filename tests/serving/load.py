"""Load on a server: a client that costs little, so that the server is what is measured."""

import asyncio
import random
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """A request, and the statuses that are right for it.

    Attributes:
        kind: What the result is counted as.
        path: Path.
        body: Body.
        statuses: Statuses that are right.
        pause_s: Pause in the middle of the body.
    """

    kind: str
    path: str
    body: bytes
    statuses: tuple[int, ...] = (200,)
    pause_s: float = 0.0


@dataclass
class Outcome:
    """What came of a load.

    Attributes:
        wrong: Kind and status of each call that was answered otherwise than it should.
        seconds: Times of the calls by kind, sorted.
    """

    wrong: list[tuple[str, int]] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def quantile(self, kind, share):
        """Return the time that a share of the calls of a kind did not exceed (seconds)."""
        times = sorted(self.seconds[kind])
        return times[min(len(times) - 1, int(share * len(times)))]


def run_load(port, calls, workers, seed=1):
    """Send calls in a random order, each over a connection of its own worker.

    Args:
        port: Port of the server at 127.0.0.1.
        calls: The calls.
        workers: Calls at a time.
        seed: Determines the order.
    """
    calls = list(calls)
    random.Random(seed).shuffle(calls)
    outcome, waiting = Outcome(), iter(calls)

    async def work(number):
        # Workers are clients of different addresses.
        address = f"127.0.0.{2 + number % 4}"
        for call in waiting:
            started = time.monotonic()
            status = await _send(port, call, address)
            outcome.seconds.setdefault(call.kind, []).append(time.monotonic() - started)
            if status not in call.statuses:
                outcome.wrong.append((call.kind, status))

    async def run_all():
        await asyncio.gather(*(work(number) for number in range(workers)))

    asyncio.run(run_all())
    return outcome


async def _send(port, call, address):
    """Return the status of the response; 0 if there is none."""
    head = (
        f"POST {call.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(call.body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    except OSError:
        return 0
    try:
        half = len(call.body) // 2 if call.pause_s else len(call.body)
        writer.write(head + call.body[:half])
        await writer.drain()
        if call.pause_s:
            await asyncio.sleep(call.pause_s)
            writer.write(call.body[half:])
            await writer.drain()
        response = await reader.read()
        return int(response.split(b" ", 2)[1]) if response else 0
    except (ConnectionError, ValueError, IndexError):
        return 0
    finally:
        writer.close()
