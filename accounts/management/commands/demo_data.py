"""`manage.py demo_data`: the cast of the demonstration. Runs twice without harm; production refuses it."""

import datetime as dt
from typing import Any, NamedTuple

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import demo
from accounts.care import AGREEMENT_VERSION, ContactDetails
from accounts.models import User
from guardians import contacts, invitations, links
from guardians.consents import Boxes
from guardians.models import Invitation


class Member(NamedTuple):
    role: str
    nickname: str
    years: int
    fields: dict[str, Any] = {}

    @property
    def email(self) -> str:
        return f"{self.role}@{demo.DOMAIN}"

    @property
    def password(self) -> str:
        return f"try-anban-{self.role}"


CAST = (
    Member("adult", "林夏", 29),
    Member("guardian", "周岚", 44),
    Member("minor", "小禾", 15),
    Member("elder", "顾爷爷", 71, {"simple_mode": True}),
    Member("moderator", "沈宁", 36, {"is_staff": True, "role": User.Role.MODERATOR}),
    Member("operator", "许安", 41, {"is_staff": True, "is_superuser": True, "role": User.Role.OPERATOR}),
)
_CONTACT = ContactDetails("林秋", "sibling", email="contact@demo.anban.example")
_GUARDIAN = ContactDetails("周岚", "mother", email="guardian@demo.anban.example")


class Command(BaseCommand):
    help = "Creates the demonstration accounts once. --list prints role, e-mail and password, tab-separated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--list", action="store_true", help="print the accounts and create nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Demonstration accounts have public passwords; production does not get them.")
        if options["list"]:
            for member in CAST:
                self.stdout.write(f"{member.role}\t{member.email}\t{member.password}")
            return
        now = timezone.now()
        people = {member.role: _person(member, now) for member in CAST}
        for role, person in people.items():
            if role == "minor":
                _link(person, people["guardian"], now)
            elif not contacts.of(person):
                contacts.add(person, _CONTACT, actor=person.pk, now=now)
        self.stdout.write(f"{len(people)} demonstration accounts are ready.")


def _person(member: Member, now: dt.datetime) -> User:
    user = User.objects.filter(email=member.email).first()
    if user is None:
        user = User.objects.create_user(
            member.email,
            member.password,
            nickname=member.nickname,
            birth_date=now.date() - dt.timedelta(days=round(member.years * 365.25) + 90),
            agreement_version=AGREEMENT_VERSION,
            agreed_at=now,
            **member.fields,
        )
    elif user.agreement_version != AGREEMENT_VERSION:
        User.objects.filter(pk=user.pk).update(agreement_version=AGREEMENT_VERSION, agreed_at=now)
    EmailAddress.objects.update_or_create(
        user=user, email=member.email, defaults={"verified": True, "primary": True}
    )
    return user


def _link(minor: User, guardian: User, now: dt.datetime) -> None:
    link = links.current(minor) or links.invite(minor, _GUARDIAN, actor=minor.pk, now=now)
    if link.state == link.State.INVITED:
        token = invitations.create(link, Invitation.Method.MAIL, actor=minor.pk, now=now)
        invitations.accept(token, guardian, Boxes(True, True, True), minors_browser=False, now=now)
