"""A written companion of the tests, made by the project's own functions."""

from django.test import Client
from django.utils import timezone

from accounts.models import User
from companion import authoring
from companion.authoring import Draft
from companion.cards import AgeRating, Mood, Relationship
from companion.models import Persona
from guardians.limits import EffectivePolicy, effective_policy, forget
from tests.cast import make_user

DRAFT = Draft(
    name="Pebble",
    tagline="A stone that has seen the river change its mind.",
    description="Pebble is an invented stone. It likes slow questions and the sound of water.",
    greeting="The water is low today. What did you bring?",
    character="You are Pebble, an invented stone, played by an AI. Short, dry sentences about water and time.",
    relationship=Relationship.FRIEND,
    age_rating=AgeRating.ALL,
    moods=(Mood.CALM,),
    examples=(("Do you ever hurry?", "I rolled once. It took a century."),),
    tags=("rivers", "time"),
)


def policy_of(user: User) -> EffectivePolicy:
    forget(user)
    return effective_policy(user, timezone.now())


def written(author: User, draft: Draft = DRAFT) -> Persona:
    return authoring.create(policy_of(author), draft)


def submitted(author: User, draft: Draft = DRAFT) -> Persona:
    persona = written(author, draft)
    authoring.submit(policy_of(author), persona)
    persona.refresh_from_db()
    return persona


def second_reviewer() -> User:
    found = User.objects.filter(email="reviewer@example.org").first()
    return found or make_user("reviewer", 38, role=User.Role.MODERATOR, is_staff=True)


def published(author: User, reviewer: User, draft: Draft = DRAFT) -> Persona:
    persona = submitted(author, draft)
    for person in (reviewer, second_reviewer()):
        authoring.approve(person, persona, age_rating=draft.age_rating)
    persona.refresh_from_db()
    return persona


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
