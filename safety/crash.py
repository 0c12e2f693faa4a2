"""Named places where a test can have a process die, as kill -9 would, between two steps of the alert path."""

import os
from typing import Final

from django.conf import settings

POINTS: Final = (
    "after_claim",  # leased, nothing begun
    "after_started",  # the attempt is on disk, the provider knows nothing
    "after_accepted",  # the provider has it, the row does not say so
    "before_result_commit",
    "after_result",
    "before_in_app_commit",  # state and event are written together or not at all
    "after_in_app",
    "before_failure_commit",  # failed, and what follows from it
)


def crash_at(point: str) -> None:
    """Ends the process here when the environment says CRASH_AT=<point>; never in production."""
    if os.environ.get("CRASH_AT") == point and settings.ENVIRONMENT != "production":
        os._exit(137)
