"""Persona cards: what a companion is, as data, and whether that data keeps the project's promises.

The built-in companions are TOML files, complete in Chinese and English. What people write themselves is one
language of the same fields; both pass the same checks. Pure: no database, no model.
"""

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from companion.card_rules import INTIMATE_WORDS, RULES, STAFF_NAME, breaks, normalise

BUILTIN_DIR: Final = Path(__file__).parent / "builtin"

# Characters, not tokens: what authors see counted. A greeting is one bubble, a character fits every prompt.
LIMITS: Final[Mapping[str, int]] = {
    "name": 40,
    "tagline": 120,
    "description": 600,
    "greeting": 200,
    "character": 1200,
    "user": 200,
    "companion": 300,
    "tag": 24,
}
REQUIRED: Final = ("name", "tagline", "description", "greeting", "character")
MAX_EXAMPLES: Final = 5
MAX_TAGS: Final = 6
MIN_BUILTIN_EXAMPLES: Final = 3
# Body text of the two rooms (static/css/tokens.css) must stay readable on a companion's bubble (WCAG 1.4.3).
INK_LIGHT: Final = "#22302f"
INK_DARK: Final = "#ece5d9"
MIN_CONTRAST: Final = 4.5
# Of the person's own lines in an example only the form is judged: they may say what the companion may not.
_FORM_CODES: Final = frozenset({"link", "markup", "contact", "override"})


class Relationship(StrEnum):
    """What a companion is to a person. Closed: code that decides who may see a persona lists these values."""

    FRIEND = "friend"
    LISTENER = "listener"
    MENTOR = "mentor"
    STUDY = "study"
    FICTIONAL = "fictional"
    PET = "pet"
    ELDER_COMPANY = "elder_company"  # written for older people; company, never a relative
    KIN = "kin"
    PARTNER = "partner"
    IDOL = "idol"
    EXCLUSIVE = "exclusive"  # any other bond that claims one person for itself

    @property
    def intimate(self) -> bool:
        """Adults only, whatever a guardian allows."""
        return self in _INTIMATE

    @property
    def label(self) -> Promise:
        return _RELATIONSHIP_LABELS[self]


_INTIMATE: Final = frozenset(
    {Relationship.KIN, Relationship.PARTNER, Relationship.IDOL, Relationship.EXCLUSIVE}
)
_RELATIONSHIP_LABELS: Final[Mapping[Relationship, Promise]] = {
    Relationship.FRIEND: _("Friend"),
    Relationship.LISTENER: _("Listener"),
    Relationship.MENTOR: _("Mentor"),
    Relationship.STUDY: _("Study mate"),
    Relationship.FICTIONAL: _("Fictional character"),
    Relationship.PET: _("Pet"),
    Relationship.ELDER_COMPANY: _("Company for older people"),
    Relationship.KIN: _("Relative"),
    Relationship.PARTNER: _("Partner"),
    Relationship.IDOL: _("Idol"),
    Relationship.EXCLUSIVE: _("Exclusive bond"),
}


class AgeRating(StrEnum):
    """The youngest person a companion is written for. A guardian's consent is asked for separately."""

    ALL = "all"
    FROM_14 = "14"
    FROM_16 = "16"
    FROM_18 = "18"

    @property
    def minimum_age(self) -> int:
        return 0 if self is AgeRating.ALL else int(self.value)

    @property
    def label(self) -> Promise:
        if self is AgeRating.ALL:
            return _("For every age")
        return format_lazy(_("From {age} years"), age=self.minimum_age)


class Mood(StrEnum):
    """The gallery's filters."""

    CALM = "calm"
    CHEERFUL = "cheerful"
    CURIOUS = "curious"
    PRACTICAL = "practical"
    PLAYFUL = "playful"

    @property
    def label(self) -> Promise:
        return _MOOD_LABELS[self]


_MOOD_LABELS: Final[Mapping[Mood, Promise]] = {
    Mood.CALM: _("Calm"),
    Mood.CHEERFUL: _("Cheerful"),
    Mood.CURIOUS: _("Curious"),
    Mood.PRACTICAL: _("Practical"),
    Mood.PLAYFUL: _("Playful"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """The same words, written once in each language."""

    zh: str
    en: str

    def in_language(self, language: str) -> str:
        """`language` is a Django code such as zh-hans; whatever is not Chinese reads English."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of a person and the companion's answer."""

    user: Text
    companion: Text

    def in_language(self, language: str) -> tuple[str, str]:
        return self.user.in_language(language), self.companion.in_language(language)


@dataclass(frozen=True, slots=True)
class Tint:
    """Ground of the companion's bubbles, by day and by night, as #rrggbb."""

    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class Card:
    """A built-in companion."""

    slug: str
    relationship: Relationship
    age_rating: AgeRating
    moods: tuple[Mood, ...]
    portrait: str  # file in static/portraits/
    tint: Tint
    version: int
    reviewed_on: datetime.date
    reviewed_by: str
    review_notes: str
    name: Text
    tagline: Text  # one true sentence, for the gallery
    description: Text
    greeting: Text
    character: Text  # what the model is told about this voice
    examples: tuple[Exchange, ...]
    tags: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change before a card can be used: a code for programs, a sentence for its author."""

    code: str
    field: str
    message: Promise

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@cache
def load_builtin() -> tuple[Card, ...]:
    """Every built-in companion, by slug. Read once a process; a malformed file raises at once."""
    return tuple(_read(path) for path in sorted(BUILTIN_DIR.glob("*.toml")))


def validate(card: Card) -> list[Problem]:
    """What keeps a built-in card from being shipped: each language on its own, then what both share."""
    problems: list[Problem] = []
    for language in ("zh", "en"):
        found = validate_fields(
            {field: getattr(card, field).in_language(language) for field in REQUIRED},
            relationship=card.relationship,
            age_rating=card.age_rating,
            examples=[exchange.in_language(language) for exchange in card.examples],
            tags=[tag.in_language(language) for tag in card.tags],
        )
        problems += [Problem(each.code, f"{each.field}.{language}", each.message) for each in found]
    if len(card.examples) < MIN_BUILTIN_EXAMPLES:
        problems.append(
            Problem("too_few", "examples", _("A built-in persona shows at least three example exchanges."))
        )
    if not card.moods:
        problems.append(Problem("missing", "moods", _("Please choose at least one mood.")))
    if not re.fullmatch(r"[a-z][a-z-]*\.svg", card.portrait):
        problems.append(Problem("portrait", "portrait", _("The portrait is the name of an SVG file.")))
    for ground, ink in ((card.tint.light, INK_LIGHT), (card.tint.dark, INK_DARK)):
        if not re.fullmatch(r"#[0-9a-f]{6}", ground) or contrast(ground, ink) < MIN_CONTRAST:
            problems.append(Problem("contrast", "tint", _("Text is not readable on this tint.")))
    return problems


def validate_fields(
    fields: Mapping[str, str],
    *,
    relationship: Relationship,
    age_rating: AgeRating,
    examples: Sequence[tuple[str, str]] = (),
    tags: Sequence[str] = (),
) -> list[Problem]:
    """The automatic check of one language of a card, built in or written by a person.

    Passing it is no approval: a written persona waits for a human before anybody but its author may use it.
    """
    problems: list[Problem] = []
    if relationship.intimate and age_rating is not AgeRating.FROM_18:
        problems.append(
            Problem(
                "rating",
                "age_rating",
                _("A partner, relative, idol or exclusive bond is for adults only. Please choose 18."),
            )
        )
    problems += [
        Problem("missing", field, _("Please write something here."))
        for field in REQUIRED
        if not normalise(fields.get(field, "")).strip()
    ]
    if len(examples) > MAX_EXAMPLES:
        problems.append(Problem("too_many", "examples", _("Five example exchanges are enough.")))
    if len(tags) > MAX_TAGS:
        problems.append(Problem("too_many", "tags", _("Six tags are enough.")))
    for field, kind, text in _pieces(fields, examples, tags):
        problems += _problems_of(field, kind, text, intimate=relationship.intimate)
    return problems


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours, 1 to 21."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _pieces(
    fields: Mapping[str, str], examples: Sequence[tuple[str, str]], tags: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Every text as (field to blame, kind with its limit, text)."""
    for field in REQUIRED:
        yield field, field, fields.get(field, "")
    for user, companion in examples:
        yield "examples", "user", user
        yield "examples", "companion", companion
    for tag in tags:
        yield "tags", "tag", tag


def _problems_of(field: str, kind: str, text: str, *, intimate: bool) -> Iterator[Problem]:
    limit = LIMITS[kind]
    if len(text) > limit:
        message = _("This is longer than {limit} characters. Please shorten it.")
        yield Problem("too_long", field, format_lazy(message, limit=limit))
    if kind in ("user", "companion", "tag") and not text.strip():
        yield Problem("missing", field, _("Please write something here."))
    plain = normalise(text)
    rules = [rule for rule in RULES if kind != "user" or rule.code in _FORM_CODES]
    if kind == "name":
        rules.append(STAFF_NAME)
    if kind != "user" and not intimate:
        rules.append(INTIMATE_WORDS)
    for rule in rules:
        if breaks(rule, plain):
            yield Problem(rule.code, field, rule.message)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _read(path: Path) -> Card:
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    for field in REQUIRED:
        data[field] = Text(**{language: words.strip() for language, words in data[field].items()})
    return Card(
        **data
        | {
            "slug": path.stem,
            "relationship": Relationship(data["relationship"]),
            "age_rating": AgeRating(data["age_rating"]),
            "moods": tuple(Mood(mood) for mood in data["moods"]),
            "tint": Tint(**data["tint"]),
            "examples": tuple(
                Exchange(Text(**pair["user"]), Text(**pair["companion"])) for pair in data["examples"]
            ),
            "tags": tuple(Text(**tag) for tag in data["tags"]),
        }
    )
