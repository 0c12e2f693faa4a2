"""A web process without one of its guards, or one that dies at a named step of a message.

python -m tests.chaos.weakened untimed_redis|a_case_each|<name of a step> -b 127.0.0.1 -p 8000 companion.asgi:application

It dies as often as there are files in $CRASH_TOKENS, each time at the step that its first argument names.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daphne.cli import CommandLineInterface  # before Django: it chooses the event loop

STEPS = ("before_commit", "before_doorbell", "before_the_frame", "after_the_frame")


def main() -> None:
    import django

    django.setup()
    name = sys.argv.pop(1)
    without = {"untimed_redis": untimed_redis, "a_case_each": a_case_each}
    without[name]() if name in without else crash_at(name)
    CommandLineInterface.entrypoint()


def untimed_redis() -> None:
    """As if nobody had thought of a server that hangs."""
    from django.conf import settings

    from accounts import ratelimit, realtime

    ratelimit.TIMEOUT = None  # type: ignore[assignment]
    realtime.DOORBELL_SECONDS = 3600.0
    settings.CACHES["default"]["OPTIONS"].update(socket_timeout=None, socket_connect_timeout=None)


def a_case_each() -> None:
    """Nobody looks for the open case of a person; the test has dropped the index that would object."""
    from safety import cases

    open_of, opened = cases._lock_of, cases.CrisisCase.objects.bulk_create

    def newest(user_id: Any) -> Any:
        return open_of(user_id) if _made.pop(user_id, False) else None

    def make(rows: Any, **options: Any) -> Any:
        _made[rows[0].user_id] = True
        return opened(rows, **options)

    cases._lock_of = newest
    cases.CrisisCase.objects.bulk_create = make


_made: dict[Any, bool] = {}


def crash_at(step: str) -> None:
    from accounts import realtime
    from companion import replies, steps, turns

    if step == "before_commit":
        after(steps, "emit")  # the last write of the transaction
    elif step == "before_doorbell":
        before(realtime, "ring")
    elif step == "before_the_frame":
        after(turns, "say")
    elif step == "after_the_frame":
        begin = replies.begin

        async def crashing(*arguments: Any) -> None:
            await begin(*arguments)
            die()

        replies.begin = crashing
    else:
        raise ValueError(step)


def before(module: Any, name: str) -> None:
    step: Callable[..., Any] = getattr(module, name)

    def crashing(*arguments: Any, **options: Any) -> Any:
        die()
        return step(*arguments, **options)

    setattr(module, name, crashing)


def after(module: Any, name: str) -> None:
    step: Callable[..., Any] = getattr(module, name)

    def crashing(*arguments: Any, **options: Any) -> Any:
        result = step(*arguments, **options)
        die()
        return result

    setattr(module, name, crashing)


def die() -> None:
    """Once for each token."""
    for token in Path(os.environ["CRASH_TOKENS"]).iterdir():
        token.unlink()
        os._exit(137)


if __name__ == "__main__":
    main()
