"""Who is near the person of a case, as a moderator sees them, with what became of each notice. Addresses are masked."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from accounts import keyring
from accounts.care import ContactDetails, Relation
from accounts.models import User
from guardians import contacts, links
from guardians.models import EmergencyContact, Guardianship
from safety import recipients
from safety.models import CaseEvent, CrisisCase, Delivery


@dataclass(frozen=True)
class Notice:
    """One notice to them: by which channel, and how far it came."""

    channel: str
    state: str
    at: dt.datetime
    error: str


@dataclass(frozen=True)
class Near:
    """A guardian or contact."""

    recipient: str
    name: str
    relation: str
    addresses: tuple[str, ...]  # masked
    reachable: bool
    notices: tuple[Notice, ...]
    answer: str  # code of their answer to the notice, "" without one

    @property
    def told(self) -> bool:
        return bool(self.notices)


def near(case: CrisisCase) -> Sequence[Near]:
    """In the order in which they are told."""
    sent: dict[str, list[Notice]] = {}
    for row in case.deliveries.filter(template="near").order_by("pk"):
        at = row.confirmed_at or row.accepted_at or row.created_at
        notice = Notice(str(Delivery.Channel(row.channel).label), row.state, at, row.error)
        sent.setdefault(row.recipient, []).append(notice)
    answers = {
        event.data.get("recipient", ""): str(event.data.get("answer", ""))
        for event in CaseEvent.objects.filter(case=case, kind="contact_answered").order_by("pk")
    }
    found = []
    for recipient in case.ladder.get("4", []):
        name, relation, addresses, reachable = _details(recipient, case.user)
        found.append(
            Near(
                recipient,
                name,
                relation,
                addresses,
                reachable,
                tuple(sent.get(recipient, ())),
                answers.get(recipient, ""),
            )
        )
    return found


def masked(address: str) -> str:
    """Enough to recognise it, too little to use it."""
    if "@" in address:
        name, _, domain = address.partition("@")
        return f"{name[:1]}***@{domain}"
    return f"{address[:3]}***{address[-2:]}" if len(address) > 6 else "***"


def _details(recipient: str, user: User) -> tuple[str, str, tuple[str, ...], bool]:
    kind, _, pk = recipient.partition(":")
    try:
        given = _given(kind, pk, user)
        reach = recipients.reach(recipient)
    except keyring.KeyringError:
        return "", "", (), False
    name = (reach.name if reach else "") or (given.name if given else "")
    known = given is not None and given.relation in Relation
    relation = str(Relation(given.relation).label) if given and known else ""
    addresses = tuple(masked(one) for one in (reach.email, reach.phone) if one) if reach else ()
    return name, relation, addresses, bool(reach and reach.channels())


def _given(kind: str, pk: str, user: User) -> ContactDetails | None:
    """What the person said about them."""
    if kind == "contact":
        contact = EmergencyContact.objects.filter(pk=pk, user=user).first()
        return contacts.open_details(contact) if contact else None
    rows = Guardianship.objects.filter(minor=user)
    link = (
        rows.filter(guardian_id=uuid.UUID(pk)).first() if kind == "guardian" else rows.filter(pk=pk).first()
    )
    return links.open_details(link) if link else None
