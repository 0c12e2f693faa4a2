"""An emergency contact is asked, may say yes or no whenever they like, and can be sent a test notice.

Until they answer they are reached all the same: the person named them, and a danger does not wait. The link they get names
one notice, is signed for this purpose, ends after seven days, and with the details it was sent to. A no counts like
"unsafe" for open cases, but says nothing against anybody else near.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.crypto import salted_hmac

from accounts import audit, ratelimit
from accounts.care import ContactDetails
from accounts.generation import policy_changed
from accounts.models import User
from guardians import contacts
from guardians.models import EmergencyContact
from safety import care_notices, escalation
from safety.contact_answers import VALID_FOR, AnswerError
from safety.models import CareNotice, CrisisCase, Delivery
from safety.recipients import Reach

Kind, State = CareNotice.Kind, EmergencyContact.State
DAY: Final = 24 * 3600.0  # seconds
OF_A_PERSON: Final = 6  # notices at once and a day, whomever they go to
TO_AN_ADDRESS: Final = 3  # the same, whoever has them sent
# A contact is not asked or tested again before this time is over.
PAUSES: Final[Mapping[str, dt.timedelta]] = {
    Kind.CONTACT_ASK: dt.timedelta(days=1),
    Kind.CONTACT_TEST: dt.timedelta(minutes=10),
}
_AT: Final = {Kind.CONTACT_ASK: "asked_at", Kind.CONTACT_TEST: "tested_at"}
_MAY: Final = {Kind.CONTACT_ASK: [State.GIVEN], Kind.CONTACT_TEST: list(contacts.USABLE)}
_ACTIONS: Final = {Kind.CONTACT_ASK: "account.contact_asked", Kind.CONTACT_TEST: "account.contact_tested"}
_signer: Final = signing.TimestampSigner(salt="safety.contact_agreement")


def give(
    user: User,
    details: ContactDetails,
    *,
    now: dt.datetime,
    instead_of: EmergencyContact | None = None,
) -> EmergencyContact:
    """Note a contact, or change one, and ask them. Raises ValidationError."""
    allowed = _not_too_many(user, details.checked(owner=user))
    with transaction.atomic(durable=True):
        contact = contacts.add(user, details, actor=user.pk, now=now, instead_of=instead_of)
        if contact.created_at == now:  # what is on its way to the one before is not for them
            care_notices.over(_about(contact), now)
        if allowed and contact.asked_at is None and can_be_reached(contact):
            _write(Kind.CONTACT_ASK, contact, now)
    return contact


def write(kind: CareNotice.Kind, contact: EmergencyContact, now: dt.datetime) -> str:
    """Ask a contact again, or send a test notice; "" or why not: too_soon, too_many, no_channel."""
    details = contacts.opened(contact)
    if details is None or not can_be_reached(contact):
        return "no_channel"
    if not may_write(kind, contact, now):
        return "too_soon"
    if not _not_too_many(contact.user, details):
        return "too_many"
    with transaction.atomic(durable=True):
        return "" if _write(kind, contact, now) else "too_soon"


def link(delivery: Delivery) -> str:
    """The page where the contact of a notice says yes, no, or stop; "" for notices to others."""
    if not delivery.recipient.startswith("contact:"):
        return ""
    return f"{settings.SITE_URL}{reverse('contact_agreement', args=[_signer.sign(str(delivery.pk))])}"


def contact_of(token: str) -> EmergencyContact:
    """Whose answer a link takes. Raises AnswerError: gone once somebody else was named instead, or marked unsafe."""
    try:
        pk = _signer.unsign(token, max_age=VALID_FOR)
    except signing.SignatureExpired:
        raise AnswerError("expired") from None
    except signing.BadSignature:
        raise AnswerError("forged") from None
    delivery = Delivery.objects.filter(pk=pk, recipient__startswith="contact:").first()
    if delivery is None:
        raise AnswerError("gone")
    rows = EmergencyContact.objects.select_related("user").exclude(state=State.UNSAFE)
    contact = rows.filter(
        pk=delivery.recipient.partition(":")[2], created_at__lte=delivery.created_at, user__is_active=True
    ).first()
    if contact is None:
        raise AnswerError("gone")
    return contact


@transaction.atomic(durable=True)
def answer(contact: EmergencyContact, *, yes: bool, now: dt.datetime) -> None:
    """The contact agrees, or says no: then they are out of every ladder, and the person is asked for somebody else."""
    if not yes:
        _leave_open_cases(_recipient(contact), now)
    state = State.CONFIRMED if yes else State.REFUSED
    changed = (
        EmergencyContact.objects.filter(pk=contact.pk, created_at=contact.created_at)
        .exclude(state__in=(State.UNSAFE, state))
        .update(state=state, answered_at=now)
    )
    if not changed:
        return
    care_notices.over(_about(contact), now)
    audit.record(
        "account.contact_answered",
        actor=None,
        subject=contact.user_id,
        target=f"emergency_contact:{contact.pk}",
        answer="yes" if yes else "no",
    )
    policy_changed(contact.user_id)


@dataclass(frozen=True)
class Result:
    """How far the last test notice came by one channel."""

    channel: Delivery.Channel
    state: str  # waiting, handed_over, arrived, failed
    at: dt.datetime


_RESULTS: Final = {
    Delivery.State.PENDING: "waiting",
    Delivery.State.LEASED: "waiting",
    Delivery.State.ACCEPTED: "handed_over",
    Delivery.State.CONFIRMED: "arrived",
}


def last_test(contact: EmergencyContact) -> list[Result]:
    """By each channel that was tried. Nothing for a test of details that were changed since."""
    notices = CareNotice.objects.filter(user=contact.user_id, kind=Kind.CONTACT_TEST, about=_about(contact))
    notice = notices.filter(created_at__gte=contact.created_at).order_by("-created_at").first()
    rows = notice.deliveries.order_by("pk") if notice else []
    return [
        Result(
            Delivery.Channel(row.channel),
            _RESULTS.get(Delivery.State(row.state), "failed"),
            row.confirmed_at or row.accepted_at or row.created_at,
        )
        for row in rows
    ]


def can_be_reached(contact: EmergencyContact) -> bool:
    """Whether this site has any way to send to what the person gave: a number alone needs a gateway."""
    details = contacts.opened(contact)
    return details is not None and bool(Reach(email=details.email, phone=details.phone).channels())


def may_write(kind: CareNotice.Kind, contact: EmergencyContact, now: dt.datetime) -> bool:
    """Whether a button for it makes sense now."""
    last: dt.datetime | None = getattr(contact, _AT[kind])
    return contact.state in _MAY[kind] and (last is None or last <= now - PAUSES[kind])


def _write(kind: CareNotice.Kind, contact: EmergencyContact, now: dt.datetime) -> bool:
    """In the caller's transaction. Two presses of the button make one notice: the row is claimed."""
    field = _AT[kind]
    free = Q(**{field: None}) | Q(**{f"{field}__lte": now - PAUSES[kind]})
    rows = EmergencyContact.objects.filter(free, pk=contact.pk, state__in=_MAY[kind])
    if not rows.update(**{field: now}):
        return False
    care_notices.tell(kind, contact.user, _about(contact), [_recipient(contact)], now)
    audit.record(
        _ACTIONS[kind],
        actor=contact.user_id,
        subject=contact.user_id,
        target=f"emergency_contact:{contact.pk}",
    )
    return True


def _not_too_many(user: User, details: ContactDetails) -> bool:
    """A token of the person and of each address; asks the server of limits, so call it outside of transactions."""
    if not ratelimit.allow(f"contact-notice:{user.pk}", rate=OF_A_PERSON / DAY, burst=OF_A_PERSON):
        return False
    places = [
        salted_hmac("contact-notice", each).hexdigest() for each in (details.email, details.phone) if each
    ]
    return all(
        ratelimit.allow(f"contact-notice:{each}", rate=TO_AN_ADDRESS / DAY, burst=TO_AN_ADDRESS)
        for each in places
    )


def _leave_open_cases(recipient: str, now: dt.datetime) -> None:
    """Out of every open ladder; whoever comes next has their turn at once where this one was waited for."""
    rows = CrisisCase.objects.exclude(state=CrisisCase.State.CLOSED).filter(
        ladder__contains={"4": [recipient]}
    )
    for case in rows.select_for_update(of=("self",)).order_by("pk"):
        told = case.ladder["4"].index(recipient) < case.contacts_told
        case.ladder["4"].remove(recipient)
        case.contacts_told -= told
        escalation.record(case, "contact_refused", now, recipient=recipient)
        last = case.events.filter(kind__in=("contact_notice", "contact_withheld")).order_by("-pk").first()
        if told and not case.safeguarding and last is not None and last.kind == "contact_notice":
            case.contact_due_at = now
        escalation.keep(case)


def _recipient(contact: EmergencyContact) -> str:
    return f"contact:{contact.pk}"


def _about(contact: EmergencyContact) -> str:
    return f"contact:{contact.pk}"
