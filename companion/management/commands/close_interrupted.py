"""Run before a web process starts: its replies of the time before a crash can no longer go on."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from companion import replies


class Command(BaseCommand):
    help = "Mark the replies as interrupted that this instance was writing when it ended."

    def handle(self, *args: Any, **options: Any) -> None:
        replies.close_interrupted(owner=settings.INSTANCE)
        replies.close_interrupted()
