"""Conversations over websockets in a closed loop, each turn timed by the stamps in the text that arrives."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from benchmarks import stamps

PEOPLE = 50
HISTORY = 40  # messages in each conversation before the first turn that is measured
SAID = "I had a long day at work and would like to talk about it for a while, if you have the time."
TURN_SECONDS = 20.0


@dataclass(frozen=True)
class Door:
    """Where one person talks with a program."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Turn:
    """One message and its reply. Durations are microseconds."""

    sent: int = 0
    path_in: int = 0  # frame sent → the model has the whole request
    first: int = 0  # frame sent → the first text is here
    lags: list[int] = field(default_factory=list)  # the model wrote a token → it is here
    clause_lags: list[int] = field(default_factory=list)  # the same for tokens that end a clause
    end: int = 0  # the model wrote its last token → the program says that the turn is over
    error: str = ""


@dataclass
class Crowd:
    """What `talk` brings home."""

    turns: list[Turn]
    seconds: float

    @property
    def good(self) -> list[Turn]:
        return [turn for turn in self.turns if not turn.error]


class Crew:
    """Open sockets of some people; used with `async with`."""

    def __init__(self, doors: Sequence[Door]) -> None:
        self._doors = doors
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def __aenter__(self) -> "Crew":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        for door in self._doors:
            socket = await self._session.ws_connect(door.url, headers=door.headers, max_msg_size=0)
            frame = await socket.receive_json(timeout=TURN_SECONDS)
            if frame.get("kind") != "ready":
                raise RuntimeError(f"the socket is not ready: {frame.get('kind')} {frame.get('code', '')}")
            self.sockets.append(socket)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*(socket.close() for socket in self.sockets))
        await self._session.close()

    async def talk(self, turns_each: int, seconds: float, pause: float = 0.0) -> Crowd:
        """Everybody says something `pause` after the last reply is over, `turns_each` times or until the time is up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        done: list[Turn] = []

        async def chat(position: int, socket: aiohttp.ClientWebSocketResponse) -> None:
            # Spread over the length of a turn: nobody starts in step with all others.
            await asyncio.sleep(position / len(self.sockets) * (stamps.TOKENS * stamps.GAP + pause))
            for _ in range(turns_each):
                if loop.time() - began > seconds:
                    break
                turn = await _turn(socket)
                done.append(turn)
                if turn.error:
                    break
                await asyncio.sleep(pause)

        await asyncio.gather(*(chat(i, socket) for i, socket in enumerate(self.sockets)))
        return Crowd(done, loop.time() - began)


async def _turn(socket: aiohttp.ClientWebSocketResponse) -> Turn:
    turn = Turn(sent=stamps.now())
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await socket.send_str(json.dumps({"type": "message", "text": SAID}))
            await _listen(socket, turn)
    except TimeoutError:
        turn.error = "timeout"
    return turn


async def _listen(socket: aiohttp.ClientWebSocketResponse, turn: Turn) -> None:
    text, read, written = "", 0, 0
    while True:
        message = await socket.receive()
        now = stamps.now()
        if message.type is not aiohttp.WSMsgType.TEXT:
            turn.error = f"socket closed {message.data}"
            return
        frame = json.loads(message.data)
        kind = frame["kind"]
        if kind == "reply.delta":
            if frame["offset"] != len(text):
                turn.error = "text was lost"
                return
            text += frame["text"]
            if not turn.first:
                turn.first = now - turn.sent
            if not turn.path_in and (arrived := stamps.read_arrival(text)) is not None:
                turn.path_in = stamps.elapsed(turn.sent, arrived)
            for number, written, end in stamps.read_tokens(text, read):
                read, lag = end, stamps.elapsed(written, now)
                turn.lags.append(lag)
                if stamps.ends_clause(number):
                    turn.clause_lags.append(lag)
        elif kind == "reply.finished":
            turn.end = stamps.elapsed(written, now)
            if frame["message"]["state"] != "complete":
                turn.error = f"reply {frame['message']['state']} {frame['message'].get('code', '')}"
            elif len(turn.lags) != stamps.TOKENS:
                turn.error = f"{stamps.TOKENS - len(turn.lags)} tokens lost"
            return
        elif kind in ("refused", "error"):
            turn.error = f"{kind} {frame['code']}"
            return
        elif kind == "message.created" and frame["message"]["author"] == "system":
            turn.error = f"instead of a reply {frame['message']['code']}"
            return
