"""Emergency contacts: whom we reach when a person is in danger, and for nothing else (final article 13)."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import audit, keyring
from accounts.care import ContactDetails
from accounts.generation import policy_changed
from accounts.models import User
from guardians import limits
from guardians.models import EmergencyContact

State = EmergencyContact.State
USABLE: Final = (State.GIVEN, State.CONFIRMED)
MOST: Final = 3  # of one person
_PLACE = "emergency_contact.details"


def add(
    user: User,
    details: ContactDetails,
    *,
    actor: uuid.UUID,
    now: dt.datetime,
    instead_of: EmergencyContact | None = None,
) -> EmergencyContact:
    """Note a contact, or change one. Raises ValidationError for details that cannot be right, or who said no.

    One that is changed keeps its id, so that the ladder of an open case reaches the new address. With a new address it
    is somebody new: who was there before has no say any more.
    """
    details = details.checked(owner=user)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two forms, one after the other
        rows = of(user)
        _refuse(details, rows)
        chosen = instead_of.pk if instead_of is not None else None
        row = next((row for row in usable(rows) if row.pk == chosen), None)
        if row is None:  # a second press of the button is the same person
            row = next((row for row in usable(rows) if _same_place(row, details)), None)
        if row is None:
            if len(usable(rows)) >= MOST:
                raise ValidationError(_("You have named enough people. Change one of them instead."))
            row = EmergencyContact(user=user)
        if row._state.adding or not _same_place(row, details):
            row.state, row.created_at = State.GIVEN, now
            row.asked_at = row.answered_at = row.tested_at = None
        row.details = details.seal(user.pk, _PLACE, row.pk)
        row.save()
        audit.record(
            "account.care_completed",
            actor=actor,
            subject=user.pk,
            target=f"emergency_contact:{row.pk}",
            step="contact_given",
        )
        policy_changed(user.pk)
    limits.forget(user)
    return row


def mark_unsafe(contact: EmergencyContact, *, actor: uuid.UUID) -> None:
    """The person says that this contact is not safe for them: never told again. In the caller's transaction.

    Whoever calls takes the contact out of open cases first (safety.cases.contact_unsafe).
    """
    EmergencyContact.objects.filter(pk=contact.pk).update(state=State.UNSAFE)
    audit.record(
        "account.contact_unsafe",
        actor=actor,
        subject=contact.user_id,
        target=f"emergency_contact:{contact.pk}",
    )
    policy_changed(contact.user_id)


def of(user: User) -> Sequence[EmergencyContact]:
    return list(EmergencyContact.objects.filter(user=user).order_by("created_at", "pk"))


def usable(rows: Sequence[EmergencyContact]) -> list[EmergencyContact]:
    """Those who are reached in a danger: they did not refuse, and nobody said that they are unsafe."""
    return [row for row in rows if row.state in USABLE]


def who_refused(rows: Sequence[EmergencyContact]) -> list[str]:
    """Their names, for the person who had named them."""
    refused = (opened(row) for row in rows if row.state == State.REFUSED)
    return [details.name for details in refused if details is not None]


def open_details(contact: EmergencyContact) -> ContactDetails:
    return ContactDetails.open(contact.user_id, _PLACE, contact.pk, contact.details)


def opened(contact: EmergencyContact) -> ContactDetails | None:
    """None when the text does not open any more: pages then ask for it again instead of failing."""
    try:
        return open_details(contact)
    except keyring.KeyringError:
        return None


def _refuse(details: ContactDetails, rows: Sequence[EmergencyContact]) -> None:
    """Whoever said no is not named again by the same person."""
    for row in rows:
        theirs = opened(row) if row.state == State.REFUSED else None
        if theirs and (theirs.email == details.email != "" or theirs.phone == details.phone != ""):
            raise ValidationError(
                _("They have told us that they do not want to be your contact. Please name somebody else.")
            )


def _same_place(row: EmergencyContact, details: ContactDetails) -> bool:
    before = opened(row)
    return before is not None and (before.email, before.phone) == (details.email, details.phone)
