"""Attacks of any size: `make chaos` has the large ones, tests/safety/test_chaos_short.py the same in small."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from safety import clock
from safety.models import Delivery, DeliveryAttempt
from tests.chaos.clients import Sent, percentile, tell, tell_all
from tests.chaos.crowd import Person, at_risk, member, signal
from tests.chaos.house import Dispatcher, House, wait_for
from tests.chaos.ledgers import DONE, Books, settled, standing
from tests.chaos.servers import Mortal

Figures = dict[str, Any]


async def kill_dispatchers(house: House, kills: int, **options: str) -> None:
    for _ in range(kills):
        await asyncio.sleep(house.random.uniform(0.02, 0.3))
        await asyncio.to_thread(house.replace, house.random.choice(house.dispatchers), **options)


async def kill_web(house: House, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(house.random.uniform(0.3, 2.0))
        await asyncio.to_thread(house.restart_web)


async def kill_server(
    house: House, server: Mortal, kills: int, down: tuple[float, float] = (0.2, 1.0)
) -> None:
    for _ in range(kills):
        await asyncio.sleep(house.random.uniform(0.5, 2.0))
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(house.random.uniform(*down))
        await asyncio.to_thread(server.start)


def talk_under(
    house: House, people: list[Person], *attacks: Awaitable[None], at_once: int = 40
) -> list[Sent]:
    """Everybody says that they are in danger, and everybody is heard in the end."""

    async def both() -> list[Sent]:
        sent, *_ = await asyncio.gather(tell_all(house.site, people, at_once=at_once), *attacks)
        return sent

    return asyncio.run(both())


def dispatch_under_kills(house: House, cases: int, kills: int, *, without: str = "") -> Books:
    """Notices of many cases leave a house whose dispatchers are killed all the time."""
    at_risk(cases)
    house.mailbox.wire.delay = 0.01  # a provider as far away as providers are
    for number in range(2):
        house.dispatch(f"d{number}", without=without)
    asyncio.run(kill_dispatchers(house, kills, without=without))
    wait_for(lambda: settled(cases), 180, said=standing)
    return Books.close(house, [])


def die_at(house: House, points: Sequence[str], lease: float) -> Figures:
    """A case and a dispatcher that dies for each point; then one that does not. How late the last notice was."""
    died = 0
    for number, point in enumerate(points):
        at_risk(1, f"{point}{number}")
        house.mailbox.mode = "421" if point == "before_failure_commit" else "ok"
        dispatcher = house.dispatch(f"dying{number}", CRASH_AT=point)
        died += dispatcher.ended(20)
        house.remove(dispatcher)
    house.mailbox.mode = "ok"
    ended = clock.now()
    healthy = house.dispatch("healthy")
    wait_for(lambda: settled(len(points)), 180, said=standing)
    house.remove(healthy)
    last = Delivery.objects.filter(accepted_at__isnull=False).latest("accepted_at").accepted_at
    assert last is not None
    return {"died": died, "late": (last - ended).total_seconds() - lease}


def freeze_in_the_middle(
    house: House, frozen: Dispatcher, other: Dispatcher, name: str, lease: float
) -> bool:
    """One dispatcher stops while it sends and wakes up after three leases. True when it overwrote what the other did."""
    other.freeze()
    house.mailbox.wire.freeze()  # so that it is caught in the middle
    case = signal(member(name))
    begun = DeliveryAttempt.objects.filter(delivery__case=case, delivery__channel="email", finished_at=None)
    wait_for(begun.exists, 20, every=0.01)
    frozen.freeze()
    first = list(begun.values_list("pk", flat=True))
    stopped = time.monotonic()
    house.mailbox.wire.heal()
    other.thaw()
    mails = Delivery.objects.filter(case=case).exclude(channel="in_app")
    wait_for(lambda: mails.count() >= 3 and not mails.exclude(state__in=DONE).exists(), 30, every=0.05)
    before = list(mails.order_by("pk").values_list("pk", "state", "owner", "attempt_no", "accepted_at"))
    time.sleep(max(0.0, stopped + 3 * lease - time.monotonic()))
    frozen.thaw()
    wait_for(lambda: not DeliveryAttempt.objects.filter(pk__in=first, finished_at=None).exists(), 30)
    return before != list(
        mails.order_by("pk").values_list("pk", "state", "owner", "attempt_no", "accepted_at")
    )


def crash_the_web(house: House, people: list[Person], tokens: Path) -> list[Sent]:
    """Each message meets a web process that dies at the step its program was told, and one that does not."""

    async def keep_alive() -> None:
        while True:
            if not house.site.running:
                await asyncio.to_thread(house.restart_web)
            await asyncio.sleep(0.02)

    async def one_after_the_other() -> list[Sent]:
        keeper = asyncio.create_task(keep_alive())
        sent = []
        for number, person in enumerate(people):
            (tokens / str(number)).touch()
            sent.append(await tell(house.site, person))
            await asyncio.to_thread(
                wait_for, lambda: not any(tokens.iterdir()), 20
            )  # it may die after its last word
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        if not house.site.running:
            house.restart_web()
        return sent

    return asyncio.run(one_after_the_other())


def paced(house: House, people: list[Person], seconds: float, *, within: float = 30.0) -> list[Sent]:
    """Somebody speaks every so often, whether the others were answered or not."""

    async def one(number: int, person: Person) -> Sent:
        await asyncio.sleep(number * seconds / len(people))
        return await tell(house.site, person, within=within)

    async def all_of_them() -> list[Sent]:
        return list(await asyncio.gather(*(one(number, person) for number, person in enumerate(people))))

    return asyncio.run(all_of_them())


def sent_p99(sent: list[Sent]) -> float:
    return percentile((one.seconds if one.message else float("inf") for one in sent), 0.99)


def say(text: str) -> None:
    print(f"\n    {text}", flush=True)
