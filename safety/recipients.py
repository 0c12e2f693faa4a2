"""Whom a notice can go to, and by which channels: named by kind and id, so that rows carry no address.

"staff:<user>", "guardian:<user>" (with an account), "link:<guardianship>" (named, not yet confirmed), "contact:<emergency
contact>", "oncall:<place in ALERT_ON_CALL>", "canary:0" (safety/canary.py).
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import User
from guardians import contacts, links
from guardians.access import Right, guardians_of
from guardians.models import EmergencyContact, Guardianship
from safety.models import Appeal, Delivery, Lane, PushSubscription, Sanction, Shift

Channel = Delivery.Channel
STAFF: Final = (User.Role.MODERATOR, User.Role.OPERATOR)
# The ladder of the canary: its first rung is empty, so that its notice needs the sweep as well as the outbox.
CANARY: Final[Mapping[str, Sequence[str]]] = {"1": [], "2": ["canary:0"]}


@dataclass(frozen=True)
class Reach:
    """Where somebody can be reached now. Lives in memory only."""

    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = "zh-hans"
    user: uuid.UUID | None = None  # of somebody with an account

    def channels(self) -> list[Channel]:
        """What can be tried, in the order of trying; at most two of them are used at once, and a guardian's devices."""
        found = []
        if self.phone and settings.ALERT_SMS_URL:
            found.append(Channel.SMS)
        if self.email:
            found.append(Channel.EMAIL)
        if self.user and PushSubscription.objects.filter(user=self.user).exists():
            found.append(Channel.PUSH)
        if self.phone and settings.ALERT_VOICE_URL:
            found.append(Channel.VOICE)
        if self.email and settings.ALERT_EMAIL_2_URL:
            found.append(Channel.EMAIL_2)
        return found


def reach(recipient: str) -> Reach | None:
    """How to reach a recipient at this moment; None when they may not or cannot be reached any more."""
    kind, _, name = recipient.partition(":")
    if kind in ("staff", "guardian"):
        user = User.objects.filter(pk=name, is_active=True).first()
        if user is None or (kind == "staff" and not (user.is_staff and user.role in STAFF)):
            return None
        phone = links.phone_of(user) if kind == "guardian" else ""
        return Reach(user.nickname, user.email, phone, user.language, user.pk)
    if kind == "contact":
        contact = (
            EmergencyContact.objects.filter(pk=name, state__in=contacts.USABLE).select_related("user").first()
        )
        if contact is None:
            return None
        details = contacts.open_details(contact)
        return Reach(details.name, details.email, details.phone, contact.user.language)
    if kind == "link":
        link = Guardianship.objects.filter(pk=name).exclude(state=Guardianship.State.ENDED)
        row = link.select_related("minor").first()
        if row is None:
            return None
        given = links.open_details(row)
        return Reach(given.name, given.email, given.phone, row.minor.language)
    if kind == "oncall":
        try:
            address = settings.ALERT_ON_CALL[int(name)]
        except (IndexError, ValueError):
            return None
        by_mail = "@" in address
        return Reach("", address if by_mail else "", "" if by_mail else address, settings.LANGUAGE_CODE)
    if kind == "canary" and settings.CANARY_ADDRESS:
        return Reach(email=settings.CANARY_ADDRESS)
    return None


def on_duty(role: Shift.Role, now: dt.datetime) -> QuerySet[User]:
    """Who is on duty. Without any shift at all: every moderator, and every operator for the other roles."""
    staff = working(now)
    if Shift.objects.filter(role=role).exists():
        return staff.filter(shifts__role=role, shifts__starts_at__lte=now, shifts__ends_at__gt=now).distinct()
    return staff.filter(role=User.Role.MODERATOR if role == Shift.Role.MODERATOR else User.Role.OPERATOR)


def still_here(frozen: Iterable[str], now: dt.datetime) -> list[str]:
    """Without staff who have left, were suspended or have another role since."""
    frozen = list(frozen)
    named = [name for kind, _, name in (one.partition(":") for one in frozen) if kind == "staff"]
    left = {f"staff:{pk}" for pk in named} - {
        f"staff:{pk}" for pk in working(now).filter(pk__in=named).values_list("pk", flat=True)
    }
    return [one for one in frozen if one not in left]


def staff_on(role: Shift.Role, now: dt.datetime) -> list[str]:
    return [f"staff:{pk}" for pk in on_duty(role, now).order_by("pk").values_list("pk", flat=True)]


def working(now: dt.datetime) -> QuerySet[User]:
    suspended = Sanction.objects.filter(lifted_at=None).filter(Q(until=None) | Q(until__gt=now))
    staff = User.objects.filter(is_active=True, is_staff=True, role__in=STAFF)
    return staff.exclude(pk__in=suspended.values("user"))


def on_call() -> list[str]:
    return [f"oncall:{place}" for place in range(len(settings.ALERT_ON_CALL))]


def near(user: User) -> list[str]:
    """Guardians of a minor, else the person's contacts, in the order in which they are told."""
    doubted = _doubted(user)
    told = guardians_of(user, Right.ALERTS).exclude(pk__in=doubted)
    guardians = [f"guardian:{guardian.pk}" for guardian in told]
    if not guardians and not doubted and (link := links.current(user)) is not None:
        guardians = [f"link:{link.pk}"]
    return guardians + [f"contact:{contact.pk}" for contact in contacts.usable(contacts.of(user))]


def _doubted(user: User) -> set[uuid.UUID]:
    """Guardians with whom the person says they are not safe, while nobody has decided (safety/appeals.py)."""
    rows = Appeal.objects.filter(
        person=user,
        subject=Appeal.Subject.GUARDIAN,
        lane=Lane.SAFETY,
        state="open",
        first_decider__isnull=False,
    )
    return {pk for pk in rows.values_list("first_decider", flat=True) if pk}


def without(recipients: Iterable[str], *, subject: uuid.UUID) -> list[str]:
    """Each once, and never the person themselves: nobody is alarmed about themselves."""
    return [one for one in dict.fromkeys(recipients) if one != f"staff:{subject}"]


def now_on(rung: str, user: User, now: dt.datetime) -> list[str]:
    """Who of the staff and the people on call stands on a rung at this moment."""
    roles = {
        "1": [Shift.Role.MODERATOR],
        "2": [Shift.Role.MODERATOR],
        "3": [Shift.Role.LEAD],
        "6": [Shift.Role.MODERATOR, Shift.Role.LEAD],
        "safeguarding": [Shift.Role.SAFEGUARDING],
    }
    staff = [one for role in roles.get(rung, ()) for one in staff_on(role, now)]
    return without([*staff, *(on_call() if rung in ("5", "6") else ())], subject=user.pk)


def by_rung(user: User, now: dt.datetime) -> dict[str, Sequence[str]]:
    """Who would be told on which rung, as things are now; frozen into the case at its opening."""
    duty = without(staff_on(Shift.Role.MODERATOR, now), subject=user.pk)
    lead = without(staff_on(Shift.Role.LEAD, now), subject=user.pk)
    safeguarding = without(staff_on(Shift.Role.SAFEGUARDING, now), subject=user.pk)
    return {
        "1": duty,
        "2": duty,
        "3": lead,
        "4": near(user),
        "5": on_call(),
        "6": without([*duty, *lead, *on_call()], subject=user.pk),
        "safeguarding": safeguarding,
    }
