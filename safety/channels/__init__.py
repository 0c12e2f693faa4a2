"""Ways to reach somebody. The page itself (in_app) is none of them: it needs no network (safety/outbox.py)."""

from collections.abc import Mapping
from typing import Final

from safety.channels.base import Channel, Permanent, Temporary
from safety.channels.email import Email, SecondEmail
from safety.channels.push import Push
from safety.channels.webhook import sms, voice
from safety.models import Delivery

__all__ = ["CHANNELS", "Channel", "Permanent", "Temporary"]

CHANNELS: Final[Mapping[str, Channel]] = {
    Delivery.Channel.EMAIL: Email(),
    Delivery.Channel.EMAIL_2: SecondEmail(),
    Delivery.Channel.PUSH: Push(),
    Delivery.Channel.SMS: sms,
    Delivery.Channel.VOICE: voice,
}
