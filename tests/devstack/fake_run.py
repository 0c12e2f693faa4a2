"""`-m tests.devstack.fake_run DIRECTORY name=rank …`: fake processes and no servers under the supervisor."""

import sys
from pathlib import Path

from devstack.embedded import Embedded
from devstack.guard import Guard
from devstack.places import claim, unprivileged_account
from devstack.supervisor import Process, Supervisor


def main(here: Path, words: list[str]) -> int:
    table = [
        Process(
            name,
            [sys.executable, "-m", "tests.devstack.fake_process", name, str(here)],
            rank=int(rank),
            early=name != "late",
        )
        for name, rank in (word.split("=") for word in words)
    ]
    with Guard(keep_open=(claim(here / "run.lock"),), patience=0.5) as guard:
        elsewhere = {"DATABASE_URL": "postgresql://elsewhere/anban", "REDIS_URL": "redis://elsewhere"}
        servers = Embedded(here, here, given=elsewhere, account=unprivileged_account(), guard=guard)
        return Supervisor(servers, guard=guard, env={}).run(
            table,
            ready=lambda: all((here / f"{process.name}.pid").exists() for process in table if process.early),
            announce=lambda _: print("ready", flush=True),
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
