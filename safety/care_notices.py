"""What guardians and emergency contacts are told outside of a case: rows for the outbox, like those of a case.

Such a notice has level 0, so every notice about a danger goes first, and one sender of each channel is never lent to it. It
climbs no ladder: when nobody takes it, the next channel of the same recipient has its turn, and after a day it is given up.
It says that there is something to see or to answer, and where; a notice never answers for anybody.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Final

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from guardians import access
from guardians.access import Right
from safety import recipients
from safety.models import CareNotice, Delivery
from safety.recipients import Channel, Reach

Kind = CareNotice.Kind
AT_ONCE: Final = 2  # channels beside the page
TRIED_FOR: Final = dt.timedelta(days=1)
RETRY_AFTER: Final = (30, 120, 600)  # seconds; then every ten minutes
# What the text of a kind needs to be told: minutes; an amount like "30.00" and its currency.
FIGURES: Final[Mapping[str, frozenset[str]]] = {
    Kind.TIME_REQUEST: frozenset({"minutes"}),
    Kind.SPENDING: frozenset({"amount", "currency"}),
}
# Part of the guardian's panel that a kind is about.
_PLACES: Final[Mapping[str, str]] = {
    Kind.SPENDING: "spending",
    Kind.UNLINK: "guardians",
    Kind.GUARDIANS: "guardians",
    Kind.MODE: "settings",
}
# These may reach somebody whose guardianship has just ended.
_ALSO_AFTERWARDS: Final = (Kind.UNLINK, Kind.GUARDIANS, Kind.MODE)
_CODE: Final = re.compile(r"[\w.:-]{1,60}", re.ASCII)


def tell(
    kind: CareNotice.Kind, user: User, about: str, whom: Sequence[str], now: dt.datetime, **data: int | str
) -> CareNotice:
    """Tell these recipients (safety.recipients) something about this person, in the caller's transaction: rows only.

    `about` names the row it is about ("request:<id>"); `data` are figures and codes, see FIGURES.
    """
    if missing := FIGURES.get(kind, frozenset()) - data.keys():
        raise ValueError(f"{kind} without {sorted(missing)}")
    if wordy := [name for name, value in data.items() if not _CODE.fullmatch(str(value))]:
        raise ValueError(f"{kind} with words: {wordy}")
    notice = CareNotice.objects.create(user=user, kind=kind, about=about, data=data, created_at=now)
    rows = []
    for recipient in dict.fromkeys(whom):
        if (reach := recipients.reach(recipient)) is not None:
            ways = [Channel.IN_APP] if reach.user else []
            ways += _channels(kind, reach)[: 1 if kind == Kind.CONTACT_ASK else AT_ONCE]
            rows += [_delivery(notice, channel, recipient, now) for channel in ways]
    Delivery.objects.bulk_create(rows)
    return notice


def over(about: str, now: dt.datetime) -> None:
    """Answered or out of date: what is not sent yet is not sent. In the caller's transaction; waits for nobody."""
    CareNotice.objects.filter(about=about, over_at=None).update(over_at=now)
    waiting = Delivery.objects.filter(care__about=about, state=Delivery.State.PENDING)
    rows = waiting.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=list(rows)).update(state=Delivery.State.CANCELLED, error="over")


def guardian_recipients(minor: User, right: Right = Right.ALERTS) -> list[str]:
    """The guardians in force who have this right."""
    return [f"guardian:{guardian.pk}" for guardian in access.guardians_of(minor, right).order_by("pk")]


def obstacle(delivery: Delivery) -> str:
    """Why a notice is not wanted any more; "" when it is. Contacts who refused are seen by safety.recipients."""
    notice = delivery.care
    assert notice is not None
    kind, _, name = delivery.recipient.partition(":")
    if notice.over_at is not None:
        return "over"
    if kind == "guardian" and notice.kind not in _ALSO_AFTERWARDS:
        return "" if access.guardians_of(notice.user).filter(pk=name).exists() else "not_guardian"
    return ""


def another_channel(failed: Delivery, now: dt.datetime) -> None:
    """The next channel of the same recipient, if there is one. In the caller's transaction."""
    notice, reach = failed.care, recipients.reach(failed.recipient)
    if notice is None or notice.over_at is not None or reach is None:
        return
    used = set(notice.deliveries.filter(recipient=failed.recipient).values_list("channel", flat=True))
    rest = [channel for channel in _channels(notice.kind, reach) if channel not in used]
    rows = [_delivery(notice, channel, failed.recipient, now) for channel in rest[:1]]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def too_late(delivery: Delivery, now: dt.datetime) -> bool:
    """Nobody wants yesterday's request for more time."""
    return delivery.care_id is not None and now - delivery.created_at > TRIED_FOR


def link(delivery: Delivery) -> str:
    """The page where the recipient sees what it is about and can act."""
    notice = delivery.care
    assert notice is not None
    return f"{settings.SITE_URL}{_path(notice, delivery.recipient)}"


def _path(notice: CareNotice, recipient: str) -> str:
    kind, _, name = recipient.partition(":")
    guardian = User.objects.filter(pk=name).first() if kind == "guardian" else None
    sees = guardian is not None and access.links_with(guardian, Right.VIEW).filter(minor=notice.user).exists()
    if not sees:
        return reverse("wards")
    if notice.kind == Kind.TIME_REQUEST:  # one tap on the page of the request itself
        return reverse("time_request", args=[notice.about.partition(":")[2]])
    return f"{reverse('panel', args=[notice.user_id])}#{_PLACES[notice.kind]}"


def _channels(kind: str, reach: Reach) -> list[Channel]:
    """In the order of trying. Text messages are for those without a page here; only a test calls anybody, and only where
    nothing else could reach them."""
    loud = (Channel.VOICE, Channel.SMS) if reach.user else (Channel.VOICE,)
    quiet: list[Channel] = [channel for channel in reach.channels() if channel not in loud]
    if kind == Kind.CONTACT_ASK:  # a mail has room for why and when
        return sorted(quiet, key=lambda channel: channel == Channel.SMS)
    return reach.channels() if kind == Kind.CONTACT_TEST and not quiet else quiet


def _delivery(notice: CareNotice, channel: Channel, recipient: str, now: dt.datetime) -> Delivery:
    return Delivery(
        care=notice, template="care", channel=channel, recipient=recipient, next_at=now, created_at=now
    )
