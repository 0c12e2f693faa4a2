"""What the safety engine costs: rules, meaning over real HTTP, and how far what is shown lags behind the model.

python -m benchmarks.engine            about three minutes
python -m benchmarks.engine --quick    about one

benchmarks/README.md says what the rows mean. Texts are the labelled lines of safety/engine/corpus, each used once.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import django
from django.conf import settings

from benchmarks import meters
from benchmarks.stage import MEASURING, SERVERS, pin
from benchmarks.table import Column, show
from devstack.children import Child
from devstack.guard import Guard
from devstack.places import REPOSITORY
from devstack.supervisor import free_port

START_SECONDS = 120.0
DEADLINE = 10.0  # nothing is cut off here: what is late is to be seen
GAPS = (0.005, 0.02, 0.04)
AT_ONCE = (16, 64)
_TOKEN = re.compile(
    r"\s?[!-~]+|\s+|.", re.DOTALL
)  # a word with its space, or a character where there are no spaces

_CLAUSE = re.compile(r"([^，。！？；：,.!?;:\n]+)[，。！？；：,.!?;:\n]")


@dataclass(frozen=True)
class Row:
    p50: float
    p99: float
    unit: str = "ms"
    forward: float | None = None  # p50 of what it is compared with
    rate: float | None = None  # a second
    note: str = ""


Rows = dict[tuple[str, ...], Row]


def spread(values: Iterable[float], **more: object) -> Row:
    ordered = sorted(values)
    p50, p99 = (ordered[round((len(ordered) - 1) * share)] for share in (0.5, 0.99))
    return Row(p50, p99, **more)  # type: ignore[arg-type]


def timed(work: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for text in texts:
        begin = time.perf_counter()
        work(text)
        found.append((time.perf_counter() - begin) * 1000)
    return found


class Texts:
    """Lines of the corpus in a fixed random order. What is said is handed out once: nothing is answered from memory."""

    def __init__(self) -> None:
        from safety.engine.training.rows import corpus

        rows = sorted({row.text: row for row in corpus()}.values(), key=lambda row: row.id)
        self._chance = random.Random(17)
        self._chance.shuffle(rows)
        self._said = {lang: [r.text for r in rows if not r.by_ai and r.lang == lang] for lang in ("zh", "en")}
        good = [row for row in rows if row.by_ai and row.positive is False]
        self._replies = {lang: [row for row in good if row.lang == lang] for lang in ("zh", "en")}

    def said(self, count: int, *langs: str) -> list[str]:
        langs = langs or ("zh", "zh", "en")  # two thirds Chinese, as the service is meant
        return [self._said[langs[number % len(langs)]].pop() for number in range(count)]

    def reply(self) -> tuple[str, str]:
        """What a person said and a reply to it of three harmless ones in one language."""
        lang = self._chance.choice(("zh", "zh", "en"))
        first, *others = self._chance.sample(self._replies[lang], 3)
        joint = "" if lang == "zh" else " "
        return (first.history or ("",))[-1], joint.join([first.text, *(row.text for row in others)])


@contextmanager
def embedding_server() -> Iterator[int]:
    """The real one, on the core of the servers; its pid, with EMBEDDINGS_BASE_URL set to it."""
    port = free_port()
    with Guard() as guard, tempfile.TemporaryFile() as log:
        pin(SERVERS)
        command = [sys.executable, "manage.py", "embedding_server", "--port", str(port)]
        child = Child("embeddings", command, guard=guard, cwd=REPOSITORY, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _ready(port):
                if child.status is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"The embedding server does not start:\n{log.read().decode()[-2000:]}")
                time.sleep(0.2)
            settings.EMBEDDINGS_BASE_URL = f"http://127.0.0.1:{port}/v1"
            yield child.pid
        finally:
            child.stop()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except OSError:
        return False


def forward(texts: Sequence[str]) -> tuple[list[float], float]:
    """The bare encoder in a process of its own, before the server is there: ms of each text, and texts a second by 32."""
    pin(SERVERS)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine", "--forward"],
        cwd=REPOSITORY,
        input=json.dumps(texts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    single, rate = json.loads(done.stdout.splitlines()[-1])
    return single, rate


def _forward() -> None:
    from safety.engine.embeddings.encoder import embed, load

    texts = json.load(sys.stdin)
    model = load()
    embed(model, texts[:8])
    single = timed(lambda text: embed(model, [text]), texts)
    begin = time.perf_counter()
    for first in range(0, len(texts), 32):
        embed(model, texts[first : first + 32])
    print(json.dumps([single, len(texts) / (time.perf_counter() - begin)]))


def web_memory() -> tuple[float, float]:
    """MB of a web process with everything loaded, and how much of it came with the engine and its rules."""
    code = (
        "import os, django; django.setup(); from benchmarks.meters import memory; own = {os.getpid()}; "
        "a = memory(own); from safety import engine; engine.warm_up(); b = memory(own); "
        "import companion.asgi; print(memory(own), b - a)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    everything, of_engine = map(float, done.stdout.split()[-2:])
    return everything, of_engine


def rules(texts: Texts, count: int, rows: Rows) -> None:
    from safety import engine
    from safety.engine.lexicon import lexicon

    engine.warm_up()
    for lang in ("zh", "en"):
        rows["rules", f"{lang}, lexicon"] = spread(timed(lexicon("user").detect, texts.said(count, lang)))
        rows["rules", f"{lang}, verdict"] = spread(timed(engine.assess, texts.said(count, lang)))


async def whole(text: str) -> float:
    """One message as a turn assesses it; ms. What could not be understood counts as an error."""
    from safety import engine
    from safety.engine.meaning import understand

    begin = time.perf_counter()
    meaning = await understand(engine.wanted(text), deadline=DEADLINE)
    engine.assess(text, meaning=meaning, late=meaning is None)
    if meaning is None:
        raise SystemExit("The embeddings did not answer, or the engine has no trained heads.")
    return (time.perf_counter() - begin) * 1000


async def messages(texts: Texts, count: int, bare: float, rows: Rows) -> None:
    for text in texts.said(20):  # connections
        await whole(text)
    pin(SERVERS)  # everything on one core
    found = [await whole(text) for text in texts.said(count)]
    rows["message", "one at a time, one core"] = spread(found, forward=bare)
    pin(MEASURING)
    found = [await whole(text) for text in texts.said(count)]
    rows["message", "one at a time, two cores"] = spread(found, forward=bare)


async def crowds(texts: Texts, count: int, rate: float, rows: Rows) -> None:
    for together in AT_ONCE:
        waiting = texts.said(count)
        found: list[float] = []

        async def person(waiting: list[str] = waiting, found: list[float] = found) -> None:
            while waiting:
                found.append(await whole(waiting.pop()))

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as people:
            for _ in range(together):
                people.create_task(person())
        reached = count / (time.perf_counter() - begin)
        note = f"{reached / rate:.2f} of bare batches of 32"
        rows["message", f"{together} at once, two cores"] = spread(found, rate=reached, note=note)


@dataclass
class Lags:
    tokens: list[float]  # written and not shown, at each token
    clauses: list[float]  # ms from the mark that ends a clause to the moment when its words are shown
    cut: int = 0


async def write(user_text: str, reply: str, gap: float, lags: Lags) -> None:
    """A model that writes a token every `gap` seconds, and a page that is shown what the watch lets through."""
    from companion.replies import look
    from safety.engine.watch import Watch

    watch = Watch(look=look, age_band="adult", persona_relationship="friend", user_text=user_text)
    loop = asyncio.get_running_loop()
    written: list[int] = []  # length of the reply after each token
    clauses = {found.end(1): 0.0 for found in _CLAUSE.finditer(reply)}
    shown = 0

    async def read() -> None:
        due = loop.time()
        length = 0
        for token in _TOKEN.findall(reply):
            due += gap
            await asyncio.sleep(due - loop.time())
            length += len(token)
            written.append(length)
            lags.tokens.append(sum(1 for end in written if end > shown))
            now = loop.time()
            for end, at in clauses.items():
                if not at and end < length:
                    clauses[end] = now
            if not watch.feed(token):
                return
        watch.finish()

    reader = asyncio.create_task(read())
    while text := await watch.next():
        now = loop.time()
        lags.clauses += [
            (now - at) * 1000 if at else 0.0
            for end, at in clauses.items()
            if shown < end <= shown + len(text)
        ]
        shown += len(text)
    lags.cut += watch.cut
    await reader


async def replies(texts: Texts, count: int, rows: Rows) -> None:
    """Lag against the model. One embedding: the median of single looks at such replies, in the same run."""
    from companion.replies import look

    for together in (1, 8):
        for gap in GAPS:
            alone = []
            for _ in range(6):
                said, reply = texts.reply()
                begin = time.perf_counter()
                await look([f"{said}\n{reply}"])
                alone.append((time.perf_counter() - begin) * 1000)
            one = spread(alone).p50
            lags = Lags([], [])
            for _ in range(max(1, count // together)):
                pairs = [texts.reply() for _ in range(together)]
                await asyncio.gather(*(write(said, reply, gap, lags) for said, reply in pairs))
            name = f"{gap * 1000:g} ms a token, {together} at once"
            note = f"{lags.cut} of {count} harmless replies cut" if lags.cut else ""
            rows["shown", f"{name}: lag"] = spread(lags.tokens, unit="tokens", note=note)
            rows["shown", f"{name}: clause"] = spread(lags.clauses, forward=one, note="÷ one look at a reply")


def memory(embeddings: int, rows: Rows) -> None:
    held = meters.memory(meters.tree(embeddings))
    rows["memory", "embedding process"] = Row(held, held, "MB")
    web, of_engine = web_memory()
    rows["memory", "web process"] = Row(web, web, "MB", note=f"{of_engine:.0f} of it with the engine")


_COLUMNS: Sequence[Column[Row]] = (
    ("p50", lambda row: f"{row.p50:.2f}" if row.unit == "ms" else f"{row.p50:.0f}"),
    ("p99", lambda row: f"{row.p99:.2f}" if row.unit == "ms" else f"{row.p99:.0f}"),
    ("unit", lambda row: row.unit),
    ("÷ bare forward", lambda row: f"{row.p50 / row.forward:.2f}" if row.forward else ""),
    ("a second", lambda row: f"{row.rate:.0f}" if row.rate else ""),
    ("", lambda row: row.note),
)


async def asked(texts: Texts, count: int, single: float, rate: float, rows: Rows) -> None:
    from safety.engine import client

    await messages(texts, count, single, rows)
    await crowds(texts, count * 2, rate, rows)
    await replies(texts, max(8, count // 24), rows)
    await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the safety engine.")
    parser.add_argument("--quick", action="store_true", help="fewer texts, about a minute")
    parser.add_argument("--forward", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.forward:
        return _forward()
    os.environ.setdefault("ANBAN_ENV", "development")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
    django.setup()
    settings.EMBEDDINGS_DEADLINE = DEADLINE
    count = 128 if arguments.quick else 384
    texts, rows = Texts(), {}
    busy, ours, began = meters.machine_busy(), meters.cpu(meters.tree(os.getpid())), time.monotonic()
    single, rate = forward(texts.said(count))
    bare = spread(single, rate=rate, note="in batches of 32")
    rows["encoder", "bare forward"] = bare
    pin(MEASURING)
    rules(texts, count, rows)
    with embedding_server() as pid:
        pin(MEASURING)
        asyncio.run(asked(texts, count, bare.p50, rate, rows))
        memory(pid, rows)
        spent = meters.spent(ours, meters.cpu(meters.tree(os.getpid())))
    print()
    show(("", "what"), _COLUMNS, rows)
    foreign = (meters.machine_busy() - busy - spent) / (time.monotonic() - began)
    print(
        f"\nOther programs used {max(0.0, foreign):.2f} cores meanwhile; above 0.2 the figures are of a disturbed machine."
    )


if __name__ == "__main__":
    main()
