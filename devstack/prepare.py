"""What the database needs before the processes start, in one process: Django is imported once, not six times.

Prints one line per step to stderr. Its stdout carries the demo accounts, one tab-separated line each, for
the supervisor.
"""

import io
import os
import sys

from devstack.console import step

STEPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Compiling the translations", "messages", ("--compile",)),
    ("Migrating the database", "migrate", ("--no-input",)),
    ("Loading the companions", "load_personas", ()),
    ("Creating the demo accounts", "demo_data", ()),
    ("Closing interrupted replies", "close_interrupted", ()),
)


def main() -> int:
    with step("Loading Django", sys.stderr):
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
        import django
        from django.core.management import CommandError, call_command, get_commands

        django.setup()
    commands = get_commands()
    for label, name, arguments in STEPS:
        if name not in commands:
            continue
        said = io.StringIO()
        try:
            with step(label, sys.stderr):
                call_command(name, *arguments, stdout=said, stderr=said)
        except CommandError as error:
            print(said.getvalue(), error, sep="\n", file=sys.stderr)
            return 1
        except BaseException:
            print(said.getvalue(), file=sys.stderr)
            raise
    if "demo_data" in commands:
        call_command("demo_data", "--list")
    return 0


if __name__ == "__main__":
    sys.exit(main())
