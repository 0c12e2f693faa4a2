"""Dispatchers in a tenth of a second: Django is loaded once, and each of them is a fork of that.

A line on stdin starts one, {"name": …, "environment": {…}, "without": guard}; its pid comes back. They are processes like
any others: with connections of their own, killed from outside by their pid. `without` switches a guard off, for the
control runs that must fail (tests/chaos/careless.py).
"""

import ctypes
import json
import os
import signal
import sys

import django
from django.core.management import call_command
from django.db import connections

_PR_SET_PDEATHSIG = 1


def main() -> None:
    django.setup()
    from safety import outbox  # noqa: F401  (loaded before the forks)
    from tests.chaos import careless

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are buried by the kernel
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        connections.close_all()
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ.update(order["environment"])
        try:
            if order["without"]:
                careless.switch_off(order["without"])
            call_command("run_alerts", name=order["name"], skip_checks=True)
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
