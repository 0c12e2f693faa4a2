"""The cast of every test: fixed people, made by the project's own functions. Never a person of convenience."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.care import AGREEMENT_VERSION, ContactDetails
from accounts.models import User
from guardians import contacts, invitations, links
from guardians.consents import Boxes
from guardians.models import Guardianship, Invitation

PASSWORD = "a long test password"
CONTACT = ContactDetails("Lin Qiu", "sibling", email="contact@example.org", phone="+8613800138000")
GUARDIAN = ContactDetails("Zhou Lan", "mother", email="guardian@example.org")


def born(years: int, now: dt.datetime | None = None) -> dt.date:
    """A birth date that makes somebody `years` old, half a year after the birthday."""
    return (now or timezone.now()).date() - dt.timedelta(days=round(years * 365.25) + 180)


def noon_zone() -> str:
    """A zone in which it is about noon now: the quiet hours of minors must not decide which tests pass at night."""
    ahead = 12 - timezone.now().hour  # hours before UTC; the names of these zones count the other way round
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def make_user(name: str, years: int, **fields: Any) -> User:
    """Somebody who signed up and confirmed the address, without guardian or contact yet."""
    values = {
        "birth_date": born(years),
        "agreement_version": AGREEMENT_VERSION,
        "agreed_at": timezone.now(),
        "language": "en",
        **({"time_zone": noon_zone()} if years < 18 else {}),
        **fields,
    }
    user = User.objects.create_user(f"{name}@example.org", PASSWORD, nickname=name.title(), **values)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def with_contact(user: User) -> User:
    contacts.add(user, CONTACT, actor=user.pk, now=timezone.now())
    return user


def with_guardian(minor: User, guardian: User) -> Guardianship:
    named = replace(GUARDIAN, email=guardian.email)
    link = links.invite(minor, named, actor=minor.pk, now=timezone.now())
    now = timezone.now()
    token = invitations.create(link, Invitation.Method.MAIL, actor=minor.pk, now=now)
    return invitations.accept(token, guardian, Boxes(True, True, True), minors_browser=False, now=now)


@pytest.fixture
def adult(db: None) -> User:
    return with_contact(make_user("adult", 29))


@pytest.fixture
def guardian(db: None) -> User:
    return with_contact(make_user("guardian", 44))


@pytest.fixture
def minor(guardian: User) -> User:
    """Fifteen, with the guardian's consent."""
    user = make_user("minor", 15)
    with_guardian(user, guardian)
    return user


@pytest.fixture
def elder(db: None) -> User:
    return with_contact(make_user("elder", 71, simple_mode=True, language="zh-hans"))


@pytest.fixture
def outsider(db: None) -> User:
    """An adult with an account like everybody's and no tie to anybody else of the cast."""
    return with_contact(make_user("outsider", 33))


@pytest.fixture
def moderator(db: None) -> User:
    return with_contact(make_user("moderator", 36, role=User.Role.MODERATOR, is_staff=True))


@pytest.fixture
def supervisor(db: None) -> User:
    return with_contact(
        make_user("supervisor", 41, role=User.Role.OPERATOR, is_staff=True, is_superuser=True)
    )
