"""Turn a function of the service off or on from a shell; without arguments, say how they all stand."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts import switches
from accounts.models import Switch


class Command(BaseCommand):
    help = "Turn a function off or on for everybody: switch sign_ups off --reason attack --note 'many robots'"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", choices=switches.Name.values)
        parser.add_argument("state", nargs="?", choices=["off", "on"])
        parser.add_argument("--reason", choices=switches.Reason.values)
        parser.add_argument("--note", default="", help="for the team; no names, no text of conversations")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"] is None:
            known = {row.name: row for row in Switch.objects.all()}
            for name in switches.Name:
                row = known.get(name)
                state = (
                    f"off since {row.changed_at:%Y-%m-%d %H:%M} UTC, {row.reason}"
                    if row and row.off
                    else "on"
                )
                self.stdout.write(f"{name:<18}{state}")
            return
        if options["state"] is None or options["reason"] is None:
            self.stderr.write("Say off or on, and --reason: it is logged.")
            raise SystemExit(2)
        done = switches.change(
            None,
            switches.Name(options["name"]),
            off=options["state"] == "off",
            reason=switches.Reason(options["reason"]),
            note=options["note"],
            now=timezone.now(),
        )
        self.stdout.write(
            f"{options['name']} is {options['state']}, everywhere within five seconds."
            if done
            else "It was so already."
        )
