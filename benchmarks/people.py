"""People of the application, signed in and in the middle of a conversation: what a benchmark walks in with.

DATABASE_URL=… python -m benchmarks.people 50    prints cookie and conversation of each as JSON
"""

import argparse
import datetime as dt
import json
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402  (Django has to be ready first)
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.care import AGREEMENT_VERSION, ContactDetails  # noqa: E402
from accounts.models import User  # noqa: E402
from benchmarks.client import HISTORY, SAID  # noqa: E402
from companion import access, turns  # noqa: E402
from companion.models import Conversation, Message, Persona  # noqa: E402
from guardians import contacts  # noqa: E402

CONTACT = ContactDetails("Lin Qiu", "sibling", email="contact@example.org")


def make_person(number: int, now: dt.datetime) -> User:
    user = User.objects.create_user(
        f"person{number}@example.org",
        birth_date=now.date() - dt.timedelta(days=30 * 366),
        agreement_version=AGREEMENT_VERSION,
        agreed_at=now,
        language="en",
    )
    contacts.add(user, CONTACT, actor=user.pk, now=now)
    return user


def sign_in(user: User) -> str:
    """A login session, with the notice acknowledged; returns its key."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    key = session.session_key
    assert key is not None
    turns.acknowledge_notice(user.pk, key)
    return key


def begin_conversation(user: User, session_key: str, now: dt.datetime) -> Conversation:
    actor = access.load_actor(user.pk, session_key, now)
    slug = Persona.objects.filter(age_rating="all").order_by("slug").values_list("slug", flat=True)[0]
    conversation = turns.open_conversation(actor, slug)
    said = []
    for number in range(HISTORY):
        message = Message(conversation=conversation, author="ai" if number % 2 else "user", created_at=now)
        message.seal(user.pk, SAID)
        said.append(message)
    Message.objects.bulk_create(said)
    return conversation


def make_moderator(now: dt.datetime) -> None:
    """Somebody whom cases are told to."""
    User.objects.create_user(
        "moderator@example.org",
        birth_date=now.date() - dt.timedelta(days=30 * 366),
        agreement_version=AGREEMENT_VERSION,
        agreed_at=now,
        language="en",
        role=User.Role.MODERATOR,
        is_staff=True,
    )


def main(count: int) -> None:
    people: list[dict[str, Any]] = []
    now = timezone.now()
    make_moderator(now)
    for number in range(count):
        user = make_person(number, now)
        key = sign_in(user)
        conversation = begin_conversation(user, key, now)
        people.append(
            {
                "cookie": settings.SESSION_COOKIE_NAME,
                "session": key,
                "conversation": str(conversation.public_id),
            }
        )
    json.dump(people, sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make people who can talk at once.")
    parser.add_argument("count", type=int)
    main(parser.parse_args().count)
