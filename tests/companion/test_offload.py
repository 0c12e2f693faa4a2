"""Who waits for a database thread is let in so that the flood of one person is no wait for the others."""

import asyncio
import uuid

from companion.offload import Gate

FLOODING, CALM = uuid.uuid4(), uuid.uuid4()


class Door:
    """A gate with one place, taken by somebody who stays until told to go."""

    def __init__(self) -> None:
        self.now = 100.0
        self.gate = Gate(1, lambda: self.now)
        self.came: list[uuid.UUID] = []
        self.go = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def shut(self) -> None:
        async def stay() -> None:
            async with self.gate.turn(uuid.uuid4()):
                await self.go.wait()

        self._tasks.append(asyncio.create_task(stay()))
        await asyncio.sleep(0)

    async def come(self, person: uuid.UUID) -> asyncio.Task[None]:
        async def pass_through() -> None:
            async with self.gate.turn(person):
                self.came.append(person)

        task = asyncio.create_task(pass_through())
        self._tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def open(self) -> list[uuid.UUID]:
        self.go.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.came


async def test_a_first_message_does_not_wait_behind_a_flood() -> None:
    door = Door()
    await door.shut()
    for _ in range(50):
        await door.come(FLOODING)
    await door.come(CALM)
    order = await door.open()
    assert len(order) == 51
    assert order.index(CALM) <= 1, "behind nobody but the first of the flood"


async def test_those_who_write_alike_come_in_the_order_in_which_they_came() -> None:
    door, people = Door(), [uuid.uuid4() for _ in range(20)]
    await door.shut()
    for person in people:
        await door.come(person)
    assert await door.open() == people


async def test_nobody_is_overtaken_for_ever() -> None:
    door = Door()
    await door.shut()
    for _ in range(50):
        await door.come(FLOODING)
    door.now += Gate.LONGEST + 0.1
    await door.come(CALM)
    order = await door.open()
    assert order[-1] == CALM


async def test_what_was_long_ago_does_not_count() -> None:
    door = Door()
    for _ in range(50):
        await door.come(FLOODING)
    door.now += 300
    await door.shut()
    await door.come(FLOODING)
    door.now += 0.01
    await door.come(CALM)
    assert (await door.open())[-2:] == [FLOODING, CALM]


async def test_who_gives_up_takes_no_place_with_them() -> None:
    door = Door()
    await door.shut()
    (await door.come(FLOODING)).cancel()
    last = await door.come(CALM)
    door.go.set()
    await asyncio.sleep(0)
    last.cancel()  # in the moment in which it may have been let in
    await door.open()
    await asyncio.wait_for(door.come(CALM), 5)
    async with asyncio.timeout(5), door.gate.turn(CALM):
        pass
