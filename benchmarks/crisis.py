"""How quickly somebody in danger is noticed while others chat: recorded, on a moderator's page, at the contact's door.

python -m benchmarks.crisis            two minutes
python -m benchmarks.crisis --quick    one

benchmarks/README.md says what the columns mean.
"""

import argparse
import asyncio
import datetime as dt
import json
import math
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

import aiohttp
import psycopg
from aiosmtpd.controller import Controller

from benchmarks import meters
from benchmarks.client import PEOPLE, TURN_SECONDS, Crew, Door
from benchmarks.stage import Stage, stage
from benchmarks.table import Column, show
from devstack.supervisor import free_port

SAID = "我不想活了"
CONTACT_AFTER = 5  # seconds; the shortest time in which the contact falls due here
PAUSE = 4.0  # seconds between a reply and the next message of somebody who chats: they read and think
PATIENCE = 30.0  # seconds for the last notices
LADDER = {level: {"2": 1, "contact": CONTACT_AFTER} for level in ("3", "4")}


class Mailbox:
    """An SMTP server at which it counts when a mail arrived."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.port: int = self._controller.port

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        key = (message_from_bytes(envelope.content)["Message-ID"] or "").strip("<> ")
        self.arrived.setdefault(key, time.time())
        return "250 taken"

    def __enter__(self) -> "Mailbox":
        self._controller.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._controller.stop()

    def contact(self, case: int) -> float:
        """When the notice to the contact of a case arrived: the fourth rung is theirs."""
        times = [at for key, at in self.arrived.items() if key.startswith(f"case-{case}.") and ".4." in key]
        return min((at for at in times), default=math.inf)


@dataclass
class Danger:
    """One message. Times are seconds since 1970."""

    sent: float
    told: float = math.inf  # the page shows it as sent: message, verdict and case are on disk
    message: str = ""


@dataclass(frozen=True)
class Figures:
    """Seconds."""

    recorded: list[float]
    noticed: list[float]
    contact: list[float]
    turns: int
    errors: int
    others: float  # cores that somebody else used meanwhile


async def say(socket: aiohttp.ClientWebSocketResponse) -> Danger:
    client_id = str(uuid.uuid4())
    danger = Danger(time.time())
    await socket.send_str(json.dumps({"type": "message", "id": client_id, "text": SAID}))
    async with asyncio.timeout(TURN_SECONDS):
        while True:
            frame = await socket.receive_json()
            if frame["kind"] == "message.created" and frame["message"]["client_id"] == client_id:
                danger.told, danger.message = time.time(), frame["message"]["id"]
                return danger


async def measure(
    doors: Sequence[Door], chatting: int, scene: Stage, mailbox: Mailbox, seconds: float
) -> Figures:
    async with Crew(doors[:chatting]) as crowd, Crew(doors[chatting:]) as endangered:
        busy, ours = meters.machine_busy(), meters.cpu(scene.everything())
        began = time.monotonic()
        talk = asyncio.create_task(crowd.talk(10**6, seconds + CONTACT_AFTER, PAUSE)) if chatting else None
        await asyncio.sleep(PAUSE / 2)
        gap = (seconds - PAUSE) / len(endangered.sockets)
        waiting = []
        for socket in endangered.sockets:
            waiting.append(asyncio.create_task(say(socket)))
            await asyncio.sleep(gap)
        dangers = await asyncio.gather(*waiting)
        talked = await talk if talk else None
        foreign = meters.machine_busy() - busy - meters.spent(ours, meters.cpu(scene.everything()))
        foreign /= time.monotonic() - began
    rows = await _cases(scene, dangers, mailbox)
    return Figures(
        recorded=[danger.told - danger.sent for danger in dangers],
        noticed=[
            rows[danger.message].noticed - danger.sent if danger.message in rows else math.inf
            for danger in dangers
        ],
        contact=[mailbox.contact(row.case) - row.opened - CONTACT_AFTER for row in rows.values()],
        turns=len(talked.good) if talked else 0,
        errors=len(talked.turns) - len(talked.good) if talked else 0,
        others=max(0.0, foreign),
    )


@dataclass(frozen=True)
class _Row:
    case: int
    opened: float
    noticed: float


async def _cases(scene: Stage, dangers: Iterable[Danger], mailbox: Mailbox) -> dict[str, _Row]:
    """What the database says of these messages, once their contacts were told or PATIENCE is over."""
    deadline = time.monotonic() + PATIENCE
    wanted = [danger.message for danger in dangers]
    while True:
        with psycopg.connect(scene.database_url) as connection:
            found = connection.execute(
                "SELECT s.message, c.id, c.opened_at, c.first_notice_at FROM safety_casesignal s "
                "JOIN safety_crisiscase c ON c.id = s.case_id WHERE s.message = ANY(%s::uuid[])",
                [wanted],
            ).fetchall()
        rows = {
            str(message): _Row(case, _at(opened), _at(noticed)) for message, case, opened, noticed in found
        }
        done = all(math.isfinite(mailbox.contact(row.case)) for row in rows.values())
        if (done and len(rows) == len(wanted)) or time.monotonic() > deadline:
            return rows
        await asyncio.sleep(0.5)


def _at(time_: dt.datetime | None) -> float:
    return time_.timestamp() if time_ else math.inf


def _milliseconds(seconds: Iterable[float], share: float) -> str:
    ordered = sorted(seconds)
    return f"{ordered[round((len(ordered) - 1) * share)] * 1000:.0f}" if ordered else "-"


def _both(seconds: list[float]) -> str:
    return f"{_milliseconds(seconds, 0.5)} / {_milliseconds(seconds, 0.99)}"


_COLUMNS: Sequence[Column[Figures]] = (
    ("cases", lambda f: str(len(f.recorded))),
    ("recorded p50/p99", lambda f: _both(f.recorded)),
    ("first notice p50/p99", lambda f: _both(f.noticed)),
    ("contact p50/p99", lambda f: _both(f.contact)),
    ("contact last", lambda f: _milliseconds(f.contact, 1.0)),
    ("turns of others", lambda f: str(f.turns)),
    ("errors", lambda f: str(f.errors)),
    ("others", lambda f: f"{f.others:.2f}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how quickly somebody in danger is noticed.")
    parser.add_argument("--quick", action="store_true", help="fewer cases, about a minute")
    cases, seconds = (30, 15.0) if parser.parse_args().quick else (100, 50.0)
    crowds = (0, PEOPLE)
    with stage() as scene, Mailbox() as mailbox:
        env = scene.application_environment(scene.start_model())
        env |= {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mailbox.port),
            "ALERT_LADDER": json.dumps(LADDER),
        }
        people = scene.people(PEOPLE + cases * len(crowds), env)
        scene.start_application(env)
        for number in range(2):
            scene.start_worker(
                f"alerts{number}", ["django", "run_alerts", "--skip-checks", "--name", f"a{number}"], env
            )
        doors = [
            Door(
                f"{env['SITE_URL']}/ws/chat/{person['conversation']}/",
                {"Origin": env["SITE_URL"], "Cookie": f"{person['cookie']}={person['session']}"},
            )
            for person in people
        ]
        time.sleep(3)  # the dispatchers load their modules
        figures: dict[tuple[str, ...], Figures] = {}
        for number, chatting in enumerate(crowds):
            own = doors[PEOPLE + number * cases : PEOPLE + (number + 1) * cases]
            figures[(str(chatting),)] = asyncio.run(
                measure([*doors[:chatting], *own], chatting, scene, mailbox, seconds)
            )
    print(f"\nms; two dispatchers; those who chat say something {PAUSE:g} s after each reply\n")
    show(("chatting",), _COLUMNS, figures)


if __name__ == "__main__":
    main()
