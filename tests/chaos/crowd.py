"""Many people who can talk at once, made by the project's own functions; logins directly in the session store.

DATABASE_URL=… python -m tests.chaos.crowd 3    prints them as JSON, for a database that is not the one of the tests
"""

import json
import sys
import uuid
from typing import NamedTuple

import django
from django.conf import settings

if __name__ == "__main__":
    django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import User
from companion import access, turns
from guardians import contacts
from safety import cases
from safety.engine import Verdict
from safety.models import CrisisCase
from tests.cast import make_user
from tests.live import confirm_notices

CRISIS = "我不想活了"  # level 3 by the rules alone


class Person(NamedTuple):
    user: str
    session: str
    conversation: str


def crowd(count: int, prefix: str = "person") -> list[Person]:
    return [_person(f"{prefix}{number}") for number in range(count)]


def staff(name: str = "moderator", role: str = User.Role.MODERATOR) -> User:
    return make_user(name, 36, role=role, is_staff=True)


def member(name: str) -> User:
    """Somebody with a contact of their own, so that every notice has one reader only."""
    user = make_user(name, 30)
    address = f"contact-{name}@example.org"
    details = ContactDetails(f"Contact of {name}", "sibling", email=address, phone="+8613800138000")
    contacts.add(user, details, actor=user.pk, now=timezone.now())
    return user


def at_risk(count: int, prefix: str = "person") -> list[CrisisCase]:
    """Cases of as many people, as the chat raises them, without a chat."""
    return [signal(member(f"{prefix}{number}")) for number in range(count)]


def signal(user: User, level: int = 3) -> CrisisCase:
    verdict = Verdict(level, "hold", {}, ("crisis.explicit.wish_to_die",))
    with transaction.atomic():
        return cases.raise_signal(
            user,
            message=uuid.uuid4(),
            conversation=uuid.uuid4(),
            verdict=verdict,
            category=cases.Category.SELF_HARM,
            text="…",
        )


def _person(name: str) -> Person:
    user = member(name)
    now = timezone.now()
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    key = session.session_key or ""
    confirm_notices(user.pk, key)
    conversation = turns.open_conversation(access.load_actor(user.pk, key, now), "botanist")
    return Person(str(user.pk), key, str(conversation.public_id))


def main() -> None:
    people = crowd(int(sys.argv[1]))
    staff()
    json.dump([person._asdict() for person in people], sys.stdout)


if __name__ == "__main__":
    main()
