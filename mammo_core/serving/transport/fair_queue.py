"""The queue for slots: no client and no kind of file holds all of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Ticket:
    """A ticket in the queue."""

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
        self._waiting: list[_Ticket] = []
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
        ticket = _Ticket(client, heavy, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._give()
        try:
            await ticket.ready
        except asyncio.CancelledError:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._drop_if_absent(ticket.client)
            else:  # the slot was given in the same moment
                self._return(ticket)
            raise
        try:
            yield
        finally:
            self._return(ticket)

    def _return(self, ticket: _Ticket) -> None:
        self._held[ticket.client] -= 1
        self._heavy -= ticket.heavy
        self._drop_if_absent(ticket.client)
        self._give()

    def _drop_if_absent(self, client: str) -> None:
        if self._held[client]:
            return
        del self._held[client]
        if all(ticket.client != client for ticket in self._waiting):
            self._last_turn.pop(client, None)

    def _give(self) -> None:
        while self._held.total() < self._slots:
            allowed = [ticket for ticket in self._waiting if self._may_have_slot(ticket)]
            if not allowed:
                return
            # `min` takes the first of equals: within a client, the order of arrival.
            ticket = min(
                allowed,
                key=lambda one: (self._held[one.client], self._last_turn.get(one.client, 0)),
            )
            self._waiting.remove(ticket)
            self._turn += 1
            self._last_turn[ticket.client] = self._turn
            self._held[ticket.client] += 1
            self._heavy += ticket.heavy
            ticket.ready.set_result(None)

    def _may_have_slot(self, ticket: _Ticket) -> bool:
        if ticket.ready.done() or self._held[ticket.client] >= self._most:
            return False  # done: it was given up
        return not ticket.heavy or self._heavy < 1
