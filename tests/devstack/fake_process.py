"""`-m tests.devstack.fake_process NAME DIRECTORY`: writes its pid, and a line when it is asked to stop.

"stubborn" has a child that ignores SIGTERM, as a prefork worker in the middle of a task may; "failing" ends
by itself.
"""

import signal
import subprocess
import sys
import time
from os import getpid
from pathlib import Path
from types import FrameType

IGNORES_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def main(name: str, here: Path) -> int:
    def stop(number: int, frame: FrameType | None) -> None:
        with (here / "order").open("a") as order:
            order.write(f"{name}\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    if name == "stubborn":
        child = subprocess.Popen([sys.executable, "-c", IGNORES_SIGTERM])
        (here / "grandchild.pid").write_text(str(child.pid))
    print(name, "says hello", flush=True)
    # In one move, so that nobody reads half a file.
    (here / f"{name}.half").write_text(str(getpid()))
    (here / f"{name}.half").rename(here / f"{name}.pid")
    if name == "failing":
        print("the reason", flush=True)
        return 3
    time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
