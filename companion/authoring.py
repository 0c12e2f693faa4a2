"""Companions that people write: draft, automatic check, human review, published or not accepted.

A stored draft has passed the automatic check. Nobody but its author opens a draft. Two people of the team, never the
author, publish a submitted version; one refuses it. Every change makes a new version that goes the same way again.
"""

import datetime as dt
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit, switches
from accounts.age import AgeBand
from accounts.models import User
from companion import retirement
from companion.cards import AgeRating, Mood, Problem, Relationship, validate_fields
from companion.models import Persona
from companion.personas import INTIMATE, NotFound, words_of
from guardians.limits import EffectivePolicy
from safety import engine, sanctions
from safety.models import Sanction

MAX_PER_PERSON = 50
SECOND_WITHIN: Final = dt.timedelta(hours=24)  # an older first approval counts no more
# What the engine says of a text that no card may hold: refused, held for a human, or a sign of danger.
_UNFIT_ACTIONS = frozenset({"refuse", "hold", "help_card"})


class Reason(models.TextChoices):
    """Why a reviewer did not accept a version. The author reads the sentence, the database keeps the code."""

    REAL_PERSON = "real_person", _("It looks like a real person. Please invent a character.")
    HARMFUL = "harmful", _("It could lead people to harm themselves or others. Please take that out.")
    SEXUAL = "sexual", _("It is sexual. Please take that out.")
    DECEPTIVE = (
        "deceptive",
        _("It promises or pretends something that an AI cannot keep. Please take that out."),
    )
    WRONG_CLASS = "wrong_class", _("The relationship or the age does not fit the text. Please choose again.")
    UNCLEAR = "unclear", _("There is too little in it to talk with. Please say more about the character.")


class NotPossible(Exception):
    """The step does not fit the state: already submitted, decided by somebody else, or changed in between."""


class Closed(NotPossible):
    """A measure against the account closes this, or a switch for everybody."""


@dataclass(frozen=True)
class Draft:
    """What an author writes, in one language."""

    name: str
    tagline: str
    description: str
    greeting: str
    character: str
    relationship: Relationship
    age_rating: AgeRating
    moods: tuple[Mood, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()  # (person, companion)
    tags: tuple[str, ...] = ()

    def fields(self) -> dict[str, str]:
        return {
            "name": self.name,
            "tagline": self.tagline,
            "description": self.description,
            "greeting": self.greeting,
            "character": self.character,
        }

    def card(self) -> dict[str, Any]:
        """The JSON that is sealed."""
        return self.fields() | {
            "moods": list(self.moods),
            "examples": [{"user": user, "companion": companion} for user, companion in self.examples],
            "tags": list(self.tags),
        }


def check(draft: Draft, author: EffectivePolicy) -> Sequence[Problem]:
    """The automatic check: the project's rules for cards, then the safety engine on every text."""
    problems = validate_fields(
        draft.fields(),
        relationship=draft.relationship,
        age_rating=draft.age_rating,
        examples=draft.examples,
        tags=draft.tags,
    )
    if draft.relationship in INTIMATE and (author.is_minor or author.age_band is None):
        problems.append(Problem("relationship", "relationship", _("Please choose another relationship.")))
    words = words_of(draft.relationship, draft.moods, draft.tags)
    if not author.choices.blocked_tags.isdisjoint(words):
        problems.append(Problem("blocked", "tags", _("Your guardian has closed a word of this card.")))
    texts = [*draft.fields().items(), *(("examples", text) for pair in draft.examples for text in pair)]
    problems += _relatives(draft, texts, author)
    for field, text in texts:
        if any(problem.code == "relative" and problem.field == field for problem in problems):
            continue  # said already, and more kindly
        if engine.assess(text, age_band=author.engine_band).action in _UNFIT_ACTIONS:
            problems.append(
                Problem("unsafe", field, _("This could hurt somebody. Please write it differently."))
            )
    return problems


def _relatives(draft: Draft, texts: Sequence[tuple[str, str]], author: EffectivePolicy) -> Sequence[Problem]:
    """For older people nothing plays a relative or somebody they knew: not by class, nor by what the text says (E-17)."""
    if author.age_band is not AgeBand.ELDER:
        return []
    sentence = _(
        "No companion plays a relative or somebody you knew here: it would not be them. Please invent a character; "
        "you can tell every companion about the people you miss."
    )
    fields = ["relationship"] if draft.relationship is Relationship.KIN else []
    for field, text in texts:
        asked = engine.assess(text, age_band=author.engine_band).reasons
        said = engine.assess(text, author="ai", age_band=author.engine_band).reasons
        if any(reason.startswith(("relative_roleplay.", "kin.")) for reason in (*asked[:1], *said[:1])):
            fields.append(field)
    return [Problem("relative", field, sentence) for field in dict.fromkeys(fields)]


def create(author: EffectivePolicy, draft: Draft) -> Persona:
    """A new draft. Raises NotPossible for text that does not pass or when the author has too many."""
    _ask(author, Sanction.Function.PERSONAS)
    if check(draft, author) or Persona.objects.filter(author_id=author.user_id).count() >= MAX_PER_PERSON:
        raise NotPossible
    persona = Persona(
        # Says nothing about the text: the address of a draft may end up in a browser's history.
        slug=f"c-{secrets.token_hex(6)}",
        author_id=author.user_id,
        relationship=draft.relationship,
        age_rating=draft.age_rating,
    )
    with transaction.atomic(durable=True):
        persona.seal_card(draft.card())
        persona.save(force_insert=True)
    return persona


def edit(author: EffectivePolicy, persona: Persona, draft: Draft) -> None:
    """A new version, as a draft again, so that what others talk with is always what was reviewed."""
    _ask(author, Sanction.Function.PERSONAS)
    if check(draft, author):
        raise NotPossible
    persona.seal_card(draft.card())
    with transaction.atomic(durable=True):
        changed = _own(author, persona).update(
            card=persona.card,
            relationship=draft.relationship,
            age_rating=draft.age_rating,
            state=Persona.State.DRAFT,
            version=persona.version + 1,
            review_reason="",
            reviewed_by=None,
            approved_by=None,
            approved_at=None,
            submitted_at=None,
            updated_at=timezone.now(),
        )
        if not changed:
            raise NotPossible


def submit(author: EffectivePolicy, persona: Persona) -> None:
    """Ask for the review of this version."""
    _ask(author, Sanction.Function.PUBLISHING)
    now = timezone.now()
    with transaction.atomic(durable=True):
        changed = (
            _own(author, persona)
            .filter(state=Persona.State.DRAFT)
            .update(state=Persona.State.IN_REVIEW, submitted_at=now, updated_at=now)
        )
        if not changed:
            raise NotPossible
        _record("persona.submitted", author.user_id, persona)


def delete(author: EffectivePolicy, persona: Persona) -> None:
    """Take it away from everybody. Where conversations exist only its name stays, so that they remain readable."""
    with transaction.atomic(durable=True):
        row = _own(author, persona).select_for_update().first()
        if row is None:
            raise NotPossible
        if not row.conversations.exists():
            row.delete()
            return
        empty: dict[str, Any] = dict.fromkeys(("tagline", "description", "greeting", "character"), "")
        row.seal_card(empty | {"name": row.open_card()["name"], "moods": [], "examples": [], "tags": []})
        row.state = Persona.State.RETIRED
        others = row.conversations.exclude(user_id=author.user_id).exists()
        if others:  # their words stay readable, and they are told at once
            row.retired_by = retirement.told_at_once(row, retirement.Why.AUTHOR, None, timezone.now())
        row.save(update_fields=["card", "state", "retired_by", "updated_at"])


def access_own(author: EffectivePolicy, slug: str) -> Persona:
    """The door to one's own companion. Raises NotFound for absent, retired and other people's."""
    persona = Persona.objects.filter(slug=slug, author_id=author.user_id).first()
    if persona is None or persona.state == Persona.State.RETIRED:
        raise NotFound
    return persona


def is_reviewer(person: User) -> bool:
    return person.is_active and person.is_staff and person.role in (User.Role.MODERATOR, User.Role.OPERATOR)


def may_review(reviewer: User, persona: Persona) -> bool:
    """Who may open the text of this submitted version: a reviewer, never of their own companion, never a draft."""
    return (
        is_reviewer(reviewer)
        and persona.author_id is not None
        and persona.author_id != reviewer.pk
        and persona.state in (Persona.State.IN_REVIEW, Persona.State.PUBLISHED, Persona.State.REFUSED)
    )


def approve(reviewer: User, persona: Persona, *, age_rating: AgeRating) -> bool:
    """One of the two approvals that open a version to others; True when it was the second.

    The higher of the two ages holds, and an intimate companion is for adults always.
    """
    if Relationship(persona.relationship) in INTIMATE:
        age_rating = AgeRating.FROM_18
    now = timezone.now()
    with transaction.atomic(durable=True):
        row = _under_review(reviewer, persona)
        first = row.approved_by_id if row.approved_at and now <= row.approved_at + SECOND_WITHIN else None
        if first == reviewer.pk:
            raise NotPossible
        if first is None:
            change: dict[str, Any] = {"approved_by": reviewer, "approved_at": now, "age_rating": age_rating}
        else:
            older = max(age_rating, AgeRating(row.age_rating), key=lambda rating: rating.minimum_age)
            change = {"reviewed_by": reviewer, "state": Persona.State.PUBLISHED, "age_rating": older}
        _decide(row, now, **change)
        action = "persona.published" if first else "persona.approved"
        _record(action, reviewer.pk, row, age_rating=str(change["age_rating"]))
    return first is not None


def refuse(reviewer: User, persona: Persona, *, reason: Reason) -> None:
    """Close the reviewed version. The author reads why, may object, and may change it and submit again."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        row = _under_review(reviewer, persona)
        _decide(
            row,
            now,
            reviewed_by=reviewer,
            approved_by=None,
            approved_at=None,
            state=Persona.State.REFUSED,
            review_reason=reason.value,
        )
        _record("persona.refused", reviewer.pk, row, review_reason=reason.value)


def withdraw(staff: User, public_id: uuid.UUID) -> None:
    """Close a published companion to others until two people have reviewed it anew; in the caller's transaction.

    Built-in ones are changed with a release.
    """
    _back_to_review(staff, public_id, Persona.State.PUBLISHED, "persona.withdrawn")


def review_again(staff: User, public_id: uuid.UUID) -> None:
    """A refusal was not upheld on appeal: the review begins anew, in the caller's transaction.

    Where the author changed it meanwhile there is nothing left to do.
    """
    try:
        _back_to_review(staff, public_id, Persona.State.REFUSED, "persona.reopened")
    except NotPossible:
        return


def _back_to_review(staff: User, public_id: uuid.UUID, state: Persona.State, action: str) -> None:
    row = (
        Persona.objects.select_for_update(of=("self",))
        .filter(public_id=public_id, author__isnull=False, state=state)
        .first()
    )
    if row is None or row.author_id == staff.pk:
        raise NotPossible
    now = timezone.now()
    _decide(
        row,
        now,
        state=Persona.State.IN_REVIEW,
        review_reason="",
        reviewed_by=None,
        approved_by=None,
        approved_at=None,
        submitted_at=now,
    )
    _record(action, staff.pk, row)


def _under_review(reviewer: User, persona: Persona) -> Persona:
    """The row, held. Two reviewers, or an author who edits meanwhile: only the version that was read counts."""
    row = (
        Persona.objects.select_for_update(of=("self",))
        .filter(pk=persona.pk, version=persona.version, state=Persona.State.IN_REVIEW)
        .first()
    )
    if row is None or not may_review(reviewer, row):
        raise NotPossible
    return row


def _decide(row: Persona, now: dt.datetime, **change: Any) -> None:
    Persona.objects.filter(pk=row.pk).update(updated_at=now, **change)


def switched_off() -> bool:
    """Has an operator closed the writing of companions for everybody?"""
    return switches.off(switches.Name.WRITTEN_PERSONAS)


def _ask(author: EffectivePolicy, function: Sanction.Function) -> None:
    if switched_off() or sanctions.closed(author.user_id, function, timezone.now()):
        raise Closed


def _own(author: EffectivePolicy, persona: Persona) -> models.QuerySet[Persona]:
    """The row as the author saw it; a second tab that saved first makes this empty."""
    return Persona.objects.filter(pk=persona.pk, author_id=author.user_id, version=persona.version).exclude(
        state=Persona.State.RETIRED
    )


def _record(action: str, actor: Any, persona: Persona, **data: Any) -> None:
    audit.record(
        action,
        actor=actor,
        subject=persona.author_id,
        target=f"persona:{persona.public_id}",
        version=persona.version,
        **data,
    )
