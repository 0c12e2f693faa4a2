"""What we need to know before somebody may talk with a companion: agreement, birth date, and whom to call.

Final Measures article 12 names service agreement, lawful registration, age and a guardian or emergency
contact. The rows of guardians and contacts live in the package `guardians`; this module knows their details.
"""

import datetime as dt
import json
import re
import uuid
from dataclasses import asdict, dataclass
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts import audit, generation, keyring
from accounts.age import OLDEST_PLAUSIBLE, years_old
from accounts.models import User

# Raised when the meaning of the terms changes: everybody agrees again before the next conversation.
AGREEMENT_VERSION = "2026-11.3"

_PHONE = re.compile(r"\+?[0-9]{5,15}")


class Relation(models.TextChoices):
    MOTHER = "mother", _("Mother")
    FATHER = "father", _("Father")
    GRANDPARENT = "grandparent", _("Grandparent")
    PARTNER = "partner", _("Partner")
    CHILD = "child", _("Son or daughter")
    SIBLING = "sibling", _("Brother or sister")
    FRIEND = "friend", _("Friend")
    GUARDIAN = "guardian", _("Other legal guardian")
    OTHER = "other", _("Somebody else I trust")


GUARDIAN_RELATIONS = (Relation.MOTHER, Relation.FATHER, Relation.GRANDPARENT, Relation.GUARDIAN)
CONTACT_RELATIONS = tuple(relation for relation in Relation if relation is not Relation.GUARDIAN)


@dataclass(frozen=True)
class ContactDetails:
    """A guardian or emergency contact as the person gave them. Leaves memory only sealed."""

    name: str
    relation: str
    email: str = ""
    phone: str = ""

    def seal(self, user_id: uuid.UUID, place: str, row: uuid.UUID) -> bytes:
        return keyring.encrypt(user_id, place, row, json.dumps(asdict(self), ensure_ascii=False))

    @classmethod
    def open(
        cls, user_id: uuid.UUID, place: str, row: uuid.UUID, value: bytes | memoryview
    ) -> "ContactDetails":
        return cls(**json.loads(keyring.decrypt(user_id, place, row, value)))

    def checked(self, *, owner: User) -> "ContactDetails":
        """The same details in normal form. Raises ValidationError by field: a wrong contact helps nobody."""
        tidy = ContactDetails(
            name=" ".join(self.name.split())[:60],
            relation=self.relation,
            email=self.email.strip().lower(),
            phone=re.sub(r"[\s().\-－（）]", "", self.phone),
        )
        errors: dict[str, ValidationError] = {}
        if not tidy.name:
            errors["name"] = ValidationError(_("Please give a name."))
        if tidy.relation not in Relation:
            errors["relation"] = ValidationError(_("Please choose who this is to you."))
        if not tidy.email and not tidy.phone:
            errors["email"] = ValidationError(_("Please give an e-mail address or a telephone number."))
        if tidy.email:
            try:
                validate_email(tidy.email)
            except ValidationError as error:
                errors["email"] = error
        if tidy.email and tidy.email == owner.email:
            errors["email"] = ValidationError(_("This is your own address. Please give theirs."))
        if tidy.phone and not _PHONE.fullmatch(tidy.phone):
            errors["phone"] = ValidationError(
                _("Please give the number with digits only, for example +86 138 0013 8000.")
            )
        if errors:
            raise ValidationError(errors)
        return tidy


def check_birth_date(birth_date: dt.date, *, time_zone: str, now: dt.datetime) -> dt.date:
    """Refuse what cannot be; a date that merely looks unlikely is the person's own."""
    today = now.astimezone(ZoneInfo(time_zone)).date()
    if birth_date > today:
        raise ValidationError(_("This date is in the future. Please check the year."), code="future")
    if years_old(birth_date, today) > OLDEST_PLAUSIBLE:
        raise ValidationError(_("This date is too long ago. Please check the year."), code="too_old")
    return birth_date


def complete_account(user: User, *, birth_date: dt.date | None, now: dt.datetime) -> None:
    """Store agreement, and the birth date where it is unknown: accounts made elsewhere, or a newer agreement.

    A known birth date is never overwritten here: age decides protection, so changing it is a reviewed act.
    """
    with transaction.atomic(durable=True):
        row = User.objects.select_for_update().get(pk=user.pk)
        if row.birth_date is None and birth_date is not None:
            row.birth_date = check_birth_date(birth_date, time_zone=row.time_zone, now=now)
        row.agreement_version, row.agreed_at = AGREEMENT_VERSION, now
        row.save(update_fields=["birth_date", "agreement_version", "agreed_at"])
        audit.record(
            "account.care_completed",
            actor=user.pk,
            subject=user.pk,
            step="agreement",
            version=AGREEMENT_VERSION,
        )
        generation.policy_changed(user.pk)
    user.birth_date, user.agreement_version, user.agreed_at = row.birth_date, AGREEMENT_VERSION, now
