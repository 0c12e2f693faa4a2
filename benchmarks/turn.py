"""What a turn costs: the application, a plain Django chat and a bare relay, side by side against one stub model.

python -m benchmarks.turn            about three minutes
python -m benchmarks.turn --quick    under a minute

benchmarks/README.md says what the columns mean and how to read them. Only ratios of one run count.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from benchmarks import meters, stamps
from benchmarks.client import PEOPLE, Crew, Crowd, Door
from benchmarks.floors import SCHEMA
from benchmarks.stage import MEASURING, SERVERS, Stage, stage
from benchmarks.table import Column, show

TURNS_OF_ALL = {1: 20, 10: 120, 50: 300}  # turns of a round by number of conversations


@dataclass(frozen=True)
class Target:
    name: str
    what: str
    doors: Sequence[Door]
    processes: Callable[[], set[int]]
    database: Callable[[], set[int]]


@dataclass(frozen=True)
class Figures:
    """One round of one target at one number of conversations. Times are milliseconds."""

    in50: float
    in99: float
    first50: float
    first99: float
    token50: float
    token99: float
    clause50: float
    clause99: float
    end50: float
    rate: float  # turns a second
    cpu: float  # of all processes of the target, per turn
    cpu_database: float  # the part of PostgreSQL in it
    memory: float  # MB
    errors: float
    others: float  # cores that somebody else used meanwhile


def targets(scene: Stage, names: Sequence[str]) -> list[Target]:
    model = scene.start_model()
    makers = {"relay": _relay, "plain": _plain, "app": _application}
    return [makers[name](scene, model) for name in names]


def _relay(scene: Stage, model: str) -> Target:
    return _floor(
        scene, model, "relay", ["benchmarks.floors", "--port"], "aiohttp relay, both messages committed"
    )


def _plain(scene: Stage, model: str) -> Target:
    command = ["daphne", "benchmarks.plain:application", "-b", "127.0.0.1", "-p"]
    return _floor(scene, model, "plain", command, "Django, channels, daphne, ORM; reply in a task")


def _floor(scene: Stage, model: str, name: str, command: Sequence[str], what: str) -> Target:
    database = f"bench_{name}"
    env = {"BENCH_MODEL_URL": model, "BENCH_DATABASE_URL": scene.database(database, SCHEMA)}
    pid, port = scene.start_program(name, command, env)
    doors = [Door(f"http://127.0.0.1:{port}/ws/chat/{number}/") for number in range(PEOPLE)]
    return Target(
        name,
        what,
        doors,
        lambda: meters.tree(pid),
        lambda: meters.database_processes(scene.postgres, database),
    )


def _application(scene: Stage, model: str) -> Target:
    env = scene.application_environment(model)
    people = scene.people(PEOPLE, env)
    pid, port = scene.start_application(env)
    site = f"http://127.0.0.1:{port}"
    doors = [
        Door(
            f"{site}/ws/chat/{person['conversation']}/",
            {"Origin": site, "Cookie": f"{person['cookie']}={person['session']}"},
        )
        for person in people
    ]
    return Target(
        "app",
        "this application, everything on",
        doors,
        lambda: meters.tree(pid) | {scene.valkey},
        lambda: meters.database_processes(scene.postgres, "anban"),
    )


async def measure(target: Target, scene: Stage, conversations: int, turns: int, seconds: float) -> Figures:
    async with Crew(target.doors[:conversations]) as crew:
        busy = meters.machine_busy()
        ours = meters.cpu(scene.everything())
        web, database = meters.cpu(target.processes()), meters.cpu(target.database())
        crowd = await crew.talk(math.ceil(turns / conversations), seconds)
        web_spent = meters.spent(web, meters.cpu(target.processes()))
        database_spent = meters.spent(database, meters.cpu(target.database()))
        foreign = meters.machine_busy() - busy - meters.spent(ours, meters.cpu(scene.everything()))
        memory = meters.memory(target.processes() | target.database())
    for error in {turn.error for turn in crowd.turns if turn.error}:
        print(f"    {target.name}: {error}")
    return _figures(crowd, web_spent, database_spent, memory, max(0.0, foreign))


def _figures(crowd: Crowd, web: float, database: float, memory: float, foreign: float) -> Figures:
    good = crowd.good
    path_in, first = [turn.path_in for turn in good], [turn.first for turn in good]
    token = [lag for turn in good for lag in turn.lags]
    clause = [lag for turn in good for lag in turn.clause_lags]
    turns = max(1, len(crowd.turns))
    return Figures(
        in50=_milliseconds(path_in, 0.50),
        in99=_milliseconds(path_in, 0.99),
        first50=_milliseconds(first, 0.50),
        first99=_milliseconds(first, 0.99),
        token50=_milliseconds(token, 0.50),
        token99=_milliseconds(token, 0.99),
        clause50=_milliseconds(clause, 0.50),
        clause99=_milliseconds(clause, 0.99),
        end50=_milliseconds([turn.end for turn in good], 0.50),
        rate=len(good) / crowd.seconds,
        cpu=(web + database) * 1000 / turns,
        cpu_database=database * 1000 / turns,
        memory=memory,
        errors=float(len(crowd.turns) - len(good)),
        others=foreign / crowd.seconds,
    )


def _milliseconds(microseconds: Iterable[int], share: float) -> float:
    ordered = sorted(microseconds)
    return ordered[round((len(ordered) - 1) * share)] / 1000 if ordered else math.nan


def typical(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure; errors are added up."""
    values = {f.name: statistics.median(getattr(one, f.name) for one in rounds) for f in fields(Figures)}
    return Figures(**values | {"errors": sum(one.errors for one in rounds)})


Results = dict[tuple[int, str], list[Figures]]


def run(scene: Stage, stand: Sequence[Target], crowds: dict[int, int], rounds: int, limit: float) -> Results:
    """Rounds over all targets, each in another order: what disturbs the machine disturbs all alike."""
    results: Results = {}
    for target in stand:  # imports, connections and caches are not what is measured
        asyncio.run(measure(target, scene, 10, 20, 10.0))
    began = time.monotonic()
    for number in range(rounds):
        if number and (time.monotonic() - began) * (number + 1) / number > limit:
            print(f"Stopped after {number} rounds: another one would take longer than {limit:.0f} s.")
            break
        order = [*stand[number % len(stand) :], *stand[: number % len(stand)]]
        for conversations, turns in crowds.items():
            for target in order:
                figures = asyncio.run(measure(target, scene, conversations, turns, 8.0))
                results.setdefault((conversations, target.name), []).append(figures)
        print(f"round {number + 1} of {rounds} after {time.monotonic() - began:.0f} s", flush=True)
    return results


_COLUMNS: Sequence[Column[Figures]] = (
    ("in p50/p99", lambda f: f"{f.in50:.1f} / {f.in99:.1f}"),
    ("first text p50/p99", lambda f: f"{f.first50:.1f} / {f.first99:.1f}"),
    ("token p50/p99", lambda f: f"{f.token50:.1f} / {f.token99:.1f}"),
    ("clause p50/p99", lambda f: f"{f.clause50:.1f} / {f.clause99:.1f}"),
    ("end p50", lambda f: f"{f.end50:.1f}"),
    ("turns/s", lambda f: f"{f.rate:.1f}"),
    ("CPU ms/turn (database)", lambda f: f"{f.cpu:.1f} ({f.cpu_database:.1f})"),
    ("memory MB", lambda f: f"{f.memory:.0f}"),
    ("errors", lambda f: f"{f.errors:.0f}"),
    ("others", lambda f: f"{f.others:.2f}"),
)
_RATIOS: Sequence[Column[tuple[Figures, Figures]]] = (
    ("in p50", lambda f: f"{f[0].in50 / f[1].in50:.2f}"),
    ("first text p50", lambda f: f"{f[0].first50 / f[1].first50:.2f}"),
    ("clause p50", lambda f: f"{f[0].clause50 / f[1].clause50:.2f}"),
    ("turns/s", lambda f: f"{f[0].rate / f[1].rate:.2f}"),
    ("CPU", lambda f: f"{f[0].cpu / f[1].cpu:.2f}"),
    ("memory", lambda f: f"{f[0].memory / f[1].memory:.2f}"),
)


def _one(cores: set[int]) -> int:
    return next(iter(cores))


def report(results: Results, stand: Sequence[Target]) -> None:
    figures = {key: typical(rounds) for key, rounds in results.items()}
    rounds = max(len(one) for one in results.values())
    where = (
        f"servers on core {_one(SERVERS)}, model and client on core {_one(MEASURING)}"
        if SERVERS
        else "not pinned"
    )
    print(
        f"\n{stamps.TOKENS} tokens {stamps.GAP * 1000:g} ms apart; ms; median of {rounds} rounds; {where}\n"
    )
    for target in stand:
        print(f"- {target.name}: {target.what}")
    print()
    show(("conversations", "target"), _COLUMNS, {(str(c), name): f for (c, name), f in figures.items()})
    if any(target.name == "app" for target in stand) and len(stand) > 1:
        ratios: dict[tuple[str, ...], tuple[Figures, Figures]] = {
            (str(c), f"app ÷ {name}"): (figures[c, "app"], floor)
            for (c, name), floor in figures.items()
            if name != "app"
        }
        print()
        show(("conversations", "ratio"), _RATIOS, ratios)
    if statistics.mean(f.others for f in figures.values()) > 0.2:
        print("\nSomebody else used the machine meanwhile (column others): measure again when it is quiet.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a turn against a relay and a plain Django chat.")
    parser.add_argument("--quick", action="store_true", help="one round with fewer turns, under a minute")
    parser.add_argument("--targets", default="relay,plain,app")
    parser.add_argument("--conversations", default="1,10,50", help="how many at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds for all rounds together")
    arguments = parser.parse_args()
    names = arguments.targets.split(",")
    counts = [int(count) for count in arguments.conversations.split(",")]
    crowds = {c: TURNS_OF_ALL.get(c, 6 * c) // (2 if arguments.quick else 1) for c in counts}
    with stage() as scene:
        stand = targets(scene, names)
        results = run(scene, stand, crowds, 1 if arguments.quick else arguments.rounds, arguments.limit)
        report(results, stand)


if __name__ == "__main__":
    main()
