"""The queue for slots: no client and no kind of file holds all of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Place:
    """A place in the queue."""

    client: str
    heavy: bool
    ready: "asyncio.Future[None]"


class FairQueue:
    """Gives slots to clients in turn.

    A free slot goes to the client that holds the fewest slots and, among those, to the one that
    was served the longest time ago. One client holds all slots but one, heavy work one slot.

    Args:
        slots: The number of slots.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._most = max(1, slots - 1)
        self._waiting: list[_Place] = []
        self._held: Counter[str] = Counter()
        self._heavy = 0
        self._turn = 0
        self._last_turn: dict[str, int] = {}

    @asynccontextmanager
    async def slot(self, client: str, *, heavy: bool = False) -> AsyncIterator[None]:
        """Wait for a slot and hold it within a `with` block.

        Args:
            client: Whose work it is.
            heavy: Whether the work takes far longer than usual.
        """
        place = _Place(client, heavy, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._give()
        try:
            await place.ready
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
                self._drop_if_absent(place.client)
            else:  # the slot was given in the same moment
                self._return(place)
            raise
        try:
            yield
        finally:
            self._return(place)

    def _return(self, place: _Place) -> None:
        self._held[place.client] -= 1
        self._heavy -= place.heavy
        self._drop_if_absent(place.client)
        self._give()

    def _drop_if_absent(self, client: str) -> None:
        if self._held[client]:
            return
        del self._held[client]
        if all(place.client != client for place in self._waiting):
            self._last_turn.pop(client, None)

    def _give(self) -> None:
        while self._held.total() < self._slots:
            allowed = [place for place in self._waiting if self._may_have_slot(place)]
            if not allowed:
                return
            # `min` takes the first of equals: within a client, the order of arrival.
            place = min(
                allowed,
                key=lambda one: (self._held[one.client], self._last_turn.get(one.client, 0)),
            )
            self._waiting.remove(place)
            self._turn += 1
            self._last_turn[place.client] = self._turn
            self._held[place.client] += 1
            self._heavy += place.heavy
            place.ready.set_result(None)

    def _may_have_slot(self, place: _Place) -> bool:
        if place.ready.done() or self._held[place.client] >= self._most:
            return False  # done: it was given up
        return not place.heavy or self._heavy < 1
