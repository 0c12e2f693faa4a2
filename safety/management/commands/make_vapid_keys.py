"""`manage.py make_vapid_keys`: a key pair for web push (RFC 8292), printed once and kept nowhere."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management.base import BaseCommand

from safety.channels.push import public_key


class Command(BaseCommand):
    help = "Print a new key for web push."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        private = base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
        self.stdout.write(f"VAPID_PRIVATE_KEY={private}")
        self.stderr.write(
            f"Browsers will be given {public_key(private)}; a new key ends their subscriptions."
        )
