"""What a guardian or contact answers to a notice, through a link without login.

The link names one delivery and nothing else, is signed for this purpose, and ends after seven days. An answer is recorded
for the moderators and can bring the next contact; it never stops the moderators' ladder, and opening the page is none.
"""

import datetime as dt
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse

from accounts import audit
from safety import escalation, recipients
from safety.models import CrisisCase, Delivery
from safety.recipients import Reach

VALID_FOR: Final = dt.timedelta(days=7)
_signer: Final = signing.TimestampSigner(salt="safety.contact_answers")
_DONE: Final = (Delivery.State.FAILED, Delivery.State.QUARANTINED, Delivery.State.CANCELLED)


class Answer(StrEnum):
    SEEN = "seen"
    WITH_THEM = "with_them"
    CANNOT_REACH = "cannot_reach"


class AnswerError(Exception):
    """The link counts no more. `code`: forged, expired, gone."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def link(delivery: Delivery) -> str:
    """The address for the notice; "" for notices that lead elsewhere."""
    if delivery.template != "near":
        return ""
    return f"{settings.SITE_URL}{reverse('alert_contact', args=[_signer.sign(str(delivery.pk))])}"


def notice_of(token: str) -> tuple[Delivery, Reach]:
    """The notice that a link was sent with, and whose it is. Raises AnswerError.

    Gone for somebody who is no longer to be told, or once somebody near may be the danger.
    """
    try:
        pk = _signer.unsign(token, max_age=VALID_FOR)
    except signing.SignatureExpired:
        raise AnswerError("expired") from None
    except signing.BadSignature:
        raise AnswerError("forged") from None
    delivery = Delivery.objects.select_related("case__user").filter(pk=pk, template="near").first()
    if delivery is None or delivery.case is None or delivery.case.safeguarding:
        raise AnswerError("gone")
    reach = recipients.reach(delivery.recipient)
    if reach is None:
        raise AnswerError("gone")
    return delivery, reach


@transaction.atomic(durable=True)
def answer(delivery: Delivery, said: Answer, now: dt.datetime) -> None:
    """Record the answer. Who cannot reach the person brings the next contact now; anybody else ends that wait."""
    case = CrisisCase.objects.select_for_update(of=("self",)).get(deliveries=delivery.pk)
    Delivery.objects.filter(pk=delivery.pk).exclude(state__in=_DONE).update(
        state=Delivery.State.CONFIRMED, confirmed_at=now, lease_until=None
    )
    escalation.record(
        case, "contact_answered", now, recipient=delivery.recipient, answer=said, delivery=delivery.pk
    )
    audit.record(
        "case.contact_answered",
        actor=None,
        subject=case.user_id,
        target=case.number,
        recipient=delivery.recipient,
        answer=said,
    )
    if case.state == CrisisCase.State.CLOSED or case.safeguarding or delivery.level < case.level:
        return  # what is on its way by now is about something else
    if said is not Answer.CANNOT_REACH:
        case.contact_due_at = None
    elif not case.events.filter(kind="contact_withheld", at__gte=delivery.created_at).exists():
        case.contact_due_at = now
    escalation.keep(case)
