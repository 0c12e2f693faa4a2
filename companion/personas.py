"""Who may see and talk with which companion, and what they are shown of it.

One ladder, `may_see`, decides for lists, links, chats and prompts alike. Minors never reach an intimate companion or one
that no human has reviewed (E-4); an unknown age is read as the youngest; relatives are not played for older people (E-17).
What a guardian closed or did not approve is absent for the minor, in the same words as anything else that is not theirs.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice

from django.conf import settings
from django.db.models import Q
from django.utils import translation

from accounts import switches
from accounts.age import AgeBand
from companion import portrayal
from companion.cards import AgeRating, Mood, Relationship
from companion.models import Persona
from companion.portrayal import Face
from guardians.limits import Choices, EffectivePolicy
from guardians.minor_settings import words

INTIMATE = frozenset(relationship for relationship in Relationship if relationship.intimate)
PAGE_SIZE = 24

_YOUNGEST_OF = {
    AgeBand.UNDER_14: 0,
    AgeBand.FROM_14: 14,
    AgeBand.FROM_16: 16,
    AgeBand.ADULT: 18,
    AgeBand.ELDER: 18,
}


class NotFound(Exception):
    """Absent or not for this person: the same answer."""


@dataclass(frozen=True)
class Shown(Face):
    """A face with everything that the gallery and the companion's own page tell, in one language."""

    public_id: uuid.UUID
    state: str
    own: bool
    relationship: Relationship
    age_rating: AgeRating
    moods: tuple[Mood, ...]
    description: str
    greeting: str
    examples: tuple[tuple[str, str], ...]  # (person, companion)
    tags: tuple[str, ...]


def for_adults(policy: EffectivePolicy | None, persona: Persona) -> bool:
    """Is this a partner, relative, idol or other intimate companion, and the reader young, or of unknown age?"""
    young = policy is None or policy.age_band is None or policy.is_minor
    return young and Relationship(persona.relationship) in INTIMATE


def may_see(policy: EffectivePolicy | None, persona: Persona) -> bool:
    """May this reader learn that the companion exists? None: somebody who is not signed in."""
    own = policy is not None and persona.author_id == policy.user_id
    relationship = Relationship(persona.relationship)
    if persona.state == Persona.State.RETIRED:
        return False
    if policy is not None and persona.public_id in policy.blocked_personas:
        return False
    if for_adults(policy, persona):
        return False
    if own:
        return True
    if persona.state != Persona.State.PUBLISHED:
        return False
    if policy is not None and not _chosen(policy.choices, persona):
        return False
    if relationship is Relationship.KIN and policy is not None and policy.age_band is AgeBand.ELDER:
        return False
    return AgeRating(persona.age_rating).minimum_age <= _years(policy)


def may_talk(policy: EffectivePolicy, persona: Persona) -> bool:
    """May a turn happen? The account itself (age, consent, contact) is asked in access.account_gate."""
    if not may_see(policy, persona):
        return False
    if persona.state == Persona.State.REFUSED or not _chosen(policy.choices, persona):
        return False
    if policy.age_band is None or policy.is_minor:
        # Their own draft, or their own companion rated for older people, is read but not talked with.
        return persona.state == Persona.State.PUBLISHED and AgeRating(
            persona.age_rating
        ).minimum_age <= _years(policy)
    return not (policy.age_band is AgeBand.ELDER and persona.relationship == Relationship.KIN)


def _chosen(choices: Choices, persona: Persona) -> bool:
    """Does what the guardians chose leave this companion open? Cards are read only where a word is blocked."""
    if choices.approved is not None and persona.public_id not in choices.approved:
        return False
    return not choices.blocked_tags or choices.blocked_tags.isdisjoint(card_words(persona))


def card_words(persona: Persona) -> frozenset[str]:
    """What a guardian can block a card by: its tags, its moods and its relationship, in both languages."""
    if persona.author_id is not None:
        fields = persona.open_card()
        return words_of(persona.relationship, fields["moods"], fields["tags"])
    card = portrayal.builtin_card(persona)
    return words_of(card.relationship, card.moods, (word for tag in card.tags for word in (tag.zh, tag.en)))


def words_of(relationship: str, moods: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
    both = (named(Relationship(relationship)), *(named(Mood(mood)) for mood in moods))
    return words(tags).union(*both)


@cache
def named(value: Relationship | Mood) -> frozenset[str]:
    """A relationship or a mood as people read it, in each language."""
    found = [value.value]
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            found.append(str(value.label))
    return words(found)


def access_persona(policy: EffectivePolicy | None, slug: str) -> Persona:
    """The door to one companion. Raises NotFound."""
    persona = Persona.objects.filter(slug=slug).first()
    if persona is None or not may_see(policy, persona):
        raise NotFound
    return persona


def visible_personas(
    policy: EffectivePolicy | None,
    language: str,
    *,
    relationship: Relationship | None = None,
    mood: Mood | None = None,
) -> list[Shown]:
    """The gallery: built-in companions first, then written ones, newest first. Nothing is ranked by how much it is used."""
    rows = Persona.objects.filter(_published_for(policy))
    if relationship is not None:
        rows = rows.filter(relationship=relationship)
    if switches.off(switches.Name.WRITTEN_PERSONAS):
        rows = rows.filter(author__isnull=True)
    ordered = chain(
        rows.filter(author__isnull=True).order_by("slug"), rows.filter(author__isnull=False).order_by("-id")
    )
    shown = (show(persona, language, policy) for persona in ordered if may_see(policy, persona))
    return [each for each in shown if mood is None or mood in each.moods]


def fitting(policy: EffectivePolicy, most: int) -> list[Persona]:
    """The gallery's companions as rows, so many at most: built-in ones, then the newest."""
    rows = Persona.objects.filter(_published_for(policy))
    ordered = chain(
        rows.filter(author__isnull=True).order_by("slug"),
        rows.filter(author__isnull=False).order_by("-id")[:most],
    )
    return list(islice((row for row in ordered if may_see(policy, row)), most))


def relationships(policy: EffectivePolicy | None) -> list[Relationship]:
    """Those that this reader can find something under: a filter must not tell of what is closed."""
    rows = Persona.objects.filter(_published_for(policy))
    if policy is None or not policy.choices.blocked_tags:
        rows = rows.defer("card")
    found = {row.relationship for row in rows if may_see(policy, row)}
    return [relationship for relationship in Relationship if relationship in found]


def own_personas(policy: EffectivePolicy, language: str) -> list[Shown]:
    """What this person wrote, in every state but retired, newest first."""
    rows = Persona.objects.filter(author_id=policy.user_id).exclude(state=Persona.State.RETIRED)
    return [show(persona, language, policy) for persona in rows.order_by("-id") if may_see(policy, persona)]


def show(persona: Persona, language: str, policy: EffectivePolicy | None = None) -> Shown:
    """The text of a companion. Who calls has asked `may_see`."""
    common = vars(portrayal.face(persona, language)) | {
        "public_id": persona.public_id,
        "state": persona.state,
        "own": policy is not None and persona.author_id == policy.user_id,
        "relationship": Relationship(persona.relationship),
        "age_rating": AgeRating(persona.age_rating),
    }
    if persona.author_id is not None:
        fields = persona.open_card()
        return Shown(
            **common,
            moods=tuple(Mood(mood) for mood in fields["moods"]),
            description=fields["description"],
            greeting=fields["greeting"],
            examples=tuple((pair["user"], pair["companion"]) for pair in fields["examples"]),
            tags=tuple(fields["tags"]),
        )
    card = portrayal.builtin_card(persona)
    return Shown(
        **common,
        moods=card.moods,
        description=card.description.in_language(language),
        greeting=card.greeting.in_language(language),
        examples=tuple(exchange.in_language(language) for exchange in card.examples),
        tags=tuple(tag.in_language(language) for tag in card.tags),
    )


def _years(policy: EffectivePolicy | None) -> int:
    """The youngest age in the person's band."""
    return _YOUNGEST_OF[policy.age_band] if policy is not None and policy.age_band is not None else 0


def _published_for(policy: EffectivePolicy | None) -> Q:
    """What `may_see` would let pass, as far as the database can tell, so that it need not read every row."""
    fitting = [rating for rating in AgeRating if rating.minimum_age <= _years(policy)]
    wanted = Q(state=Persona.State.PUBLISHED, age_rating__in=fitting)
    return wanted & ~Q(author_id=policy.user_id) if policy is not None else wanted
