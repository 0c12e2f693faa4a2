"""How a persona appears: to people (face), to the model (role), and in its first message (greeting)."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from companion.cards import AgeRating, Card, Relationship, Text, Tint, load_builtin
from companion.models import Persona
from companion.prompts import Role

DEFAULT_PORTRAIT = "default.svg"
_TINTS = "abcdefgh"


@dataclass(frozen=True)
class Face:
    """What pages show of a persona, in the reader's language."""

    slug: str
    name: str
    tagline: str
    portrait: str  # static path
    tint_class: str
    builtin: bool


def builtin_card(persona: Persona) -> Card:
    """The card of a built-in companion. One that was taken out has no card, only its conversations: see `_retired`."""
    return next((card for card in load_builtin() if card.slug == persona.slug), None) or _retired(persona)


def _retired(persona: Persona) -> Card:
    """What is left of a companion whose file is gone, so that its conversations can still be read."""
    name, gone = (
        Text("已下线的伙伴", "A retired companion"),
        Text("这个伙伴已经下线。", "This companion is no longer here."),
    )
    return Card(
        slug=persona.slug,
        relationship=Relationship(persona.relationship),
        age_rating=AgeRating(persona.age_rating),
        moods=(),
        portrait=DEFAULT_PORTRAIT,
        tint=Tint("", ""),
        version=persona.version,
        reviewed_on=dt.date.min,
        reviewed_by="",
        review_notes="",
        name=name,
        tagline=gone,
        description=gone,
        greeting=gone,
        character=gone,
        examples=(),
        tags=(),
    )


def face(persona: Persona, language: str) -> Face:
    if persona.author_id is None:
        card = builtin_card(persona)
        return Face(
            slug=card.slug,
            name=card.name.in_language(language),
            tagline=card.tagline.in_language(language),
            portrait=f"portraits/{card.portrait}",
            tint_class=f"tint-{card.slug}",
            builtin=True,
        )
    fields = persona.open_card()
    return Face(
        slug=persona.slug,
        name=fields["name"],
        tagline=fields["tagline"],
        portrait=f"portraits/{DEFAULT_PORTRAIT}",
        tint_class=f"tint-{_TINTS[persona.public_id.int % len(_TINTS)]}",
        builtin=False,
    )


def role(persona: Persona, language: str) -> Role:
    """What the model is told. A written persona speaks the language it was written in."""
    if persona.author_id is None:
        card = builtin_card(persona)
        return Role(
            name=card.name.in_language(language),
            character=card.character.in_language(language),
            examples=tuple(example.in_language(language) for example in card.examples),
        )
    fields: dict[str, Any] = persona.open_card()
    examples = tuple((example["user"], example["companion"]) for example in fields.get("examples", ()))
    return Role(name=fields["name"], character=fields["character"], examples=examples)


def greeting(persona: Persona, language: str) -> str:
    if persona.author_id is None:
        return builtin_card(persona).greeting.in_language(language)
    text: str = persona.open_card()["greeting"]
    return text
