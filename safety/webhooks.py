"""What a mail provider says later about a notice: it arrived, or it came back (django-anymail's tracking webhook)."""

from typing import Any, Final

from anymail.signals import tracking
from django.dispatch import receiver

from safety import clock, outbox

_ARRIVED: Final = "delivered"
_LOST: Final = ("bounced", "rejected", "failed")


@receiver(tracking, dispatch_uid="safety.webhooks")
def on_tracking(sender: Any, event: Any, **kwargs: Any) -> None:
    """Opened and clicked mean nothing here: programs that check mail do both."""
    if event.message_id and event.event_type in (_ARRIVED, *_LOST):
        outbox.receipt(str(event.message_id), arrived=event.event_type == _ARRIVED, now=clock.now())
