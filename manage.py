#!/usr/bin/env python
"""Django's command line for Anban."""

import os
import sys

# Tools that work on files alone: nothing is served, so they need none of a deployment's settings.
TOOLS = {"assess", "train_engine", "evaluate_engine"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
    if TOOLS & set(sys.argv[1:2]):
        os.environ.setdefault("ANBAN_ENV", "development")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
