"""`manage.py messages`: the catalogues of translated texts, without GNU gettext."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from companion import catalogue


class Command(BaseCommand):
    help = "Extract the translatable texts, update the catalogues in locale/ and compile them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        only = parser.add_mutually_exclusive_group()
        only.add_argument("--compile", action="store_true", help="only compile what is there")
        only.add_argument(
            "--check", action="store_true", help="change nothing; fail and say why unless all is complete"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.work(only_compile=options["compile"], only_check=options["check"])
        except catalogue.Unreadable as error:
            raise CommandError(str(error)) from error

    def work(self, *, only_compile: bool, only_check: bool) -> None:
        root = settings.BASE_DIR
        if only_compile:
            catalogue.compile_all(root)
            return
        if not only_check:
            catalogue.update(root)
        lines = catalogue.problems(root)
        if not lines:
            self.stdout.write("The catalogues are complete.")
        elif only_check:
            raise CommandError("\n".join(["The catalogues are not ready:", *lines]))
        else:
            self.stdout.write("\n".join(["Still to do:", *lines]))
