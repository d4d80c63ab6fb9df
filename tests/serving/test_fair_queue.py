"""The queue for slots: whose turn it is. Each test holds and releases by hand."""

import asyncio

from mammo_core.serving.transport.fair_queue import FairQueue


class Holder:
    """Enters slots in tasks of its own, and notes the order."""

    def __init__(self, slots):
        self.queue, self.order, self.releases, self.tasks = FairQueue(slots), [], {}, {}

    async def request(self, name, client, heavy=False):
        release = self.releases[name] = asyncio.Event()

        async def hold():
            async with self.queue.slot(client, heavy=heavy):
                self.order.append(name)
                await release.wait()

        self.tasks[name] = asyncio.create_task(hold())
        await settle()

    async def release(self, name):
        self.releases[name].set()
        await self.tasks[name]
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_client_does_not_hold_all_slots():
    async def scenario():
        holder = Holder(3)
        for number in range(5):
            await holder.request(f"bad-{number}", "bad")
        assert holder.order == ["bad-0", "bad-1"]
        await holder.request("good", "good")
        assert holder.order[-1] == "good"
        await holder.release("bad-0")
        assert holder.order[-1] == "bad-2"

    asyncio.run(scenario())


def test_a_slot_goes_to_the_client_that_waits_longest():
    async def scenario():
        holder = Holder(1)
        await holder.request("first", "a")
        for name in ("a-1", "a-2"):
            await holder.request(name, "a")
        await holder.request("b-1", "b")
        await holder.release("first")
        assert holder.order[-1] == "b-1"  # though a asked first
        await holder.release("b-1")
        assert holder.order[-1] == "a-1"
        await holder.release("a-1")
        assert holder.order[-1] == "a-2"

    asyncio.run(scenario())


def test_heavy_work_has_one_slot():
    async def scenario():
        holder = Holder(4)
        await holder.request("bomb-1", "a", heavy=True)
        await holder.request("bomb-2", "b", heavy=True)
        await holder.request("usual", "a")
        assert holder.order == ["bomb-1", "usual"]
        await holder.release("bomb-1")
        assert holder.order[-1] == "bomb-2"

    asyncio.run(scenario())


def test_canceled_work_gives_its_place_up():
    async def scenario():
        holder = Holder(1)
        await holder.request("first", "a")
        await holder.request("gone", "b")
        await holder.request("last", "c")
        holder.tasks["gone"].cancel()
        await settle()
        await holder.release("first")
        assert holder.order == ["first", "last"]
        # Canceled in the moment in which it gets the slot: the slot is free again.
        await holder.request("late", "d")
        holder.releases["last"].set()
        while not holder.tasks["last"].done():
            await asyncio.sleep(0)
        holder.tasks["late"].cancel()
        await settle()
        await holder.request("next", "e")
        assert holder.order[-1] == "next"
        await holder.release("next")
        # Nothing is kept about clients that are gone.
        assert not holder.queue._held and not holder.queue._last_turn

    asyncio.run(scenario())
