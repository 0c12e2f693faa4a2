"""`manage.py rewrap_keys`: after a new key-encryption key was put first. No text row is touched."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from accounts import audit, keyring


class Command(BaseCommand):
    help = "Wraps every data key with the newest key-encryption key. Older ones may be removed afterwards."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic(durable=True):
            count = keyring.rewrap_all()
            newest = next(iter(keyring.key_encryption_keys()))
            audit.record("keyring.rewrapped", actor=None, target=newest, count=count)
        self.stdout.write(f"{count} keys are now wrapped with {newest}.")
