"""Who may see and talk with which companion, and what they are shown of it.

One ladder, `may_see`, decides for lists, links, chats and prompts alike. Minors never reach an intimate companion or one
that no human has reviewed (E-4); an unknown age is read as the youngest; relatives are not played for older people (E-17).
"""

import uuid
from dataclasses import dataclass
from itertools import chain

from django.db.models import Q

from accounts import switches
from accounts.age import AgeBand
from companion import portrayal
from companion.cards import AgeRating, Mood, Relationship
from companion.models import Persona
from companion.portrayal import Face
from guardians.limits import EffectivePolicy

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


def may_see(policy: EffectivePolicy | None, persona: Persona) -> bool:
    """May this reader learn that the companion exists? None: somebody who is not signed in."""
    young = policy is None or policy.age_band is None or policy.is_minor
    own = policy is not None and persona.author_id == policy.user_id
    relationship = Relationship(persona.relationship)
    if persona.state == Persona.State.RETIRED:
        return False
    if policy is not None and persona.public_id in policy.blocked_personas:
        return False
    if young and relationship in INTIMATE:
        return False
    if own:
        return True
    if persona.state != Persona.State.PUBLISHED:
        return False
    if relationship is Relationship.KIN and policy is not None and policy.age_band is AgeBand.ELDER:
        return False
    return AgeRating(persona.age_rating).minimum_age <= _years(policy)


def may_talk(policy: EffectivePolicy, persona: Persona) -> bool:
    """May a turn happen? The account itself (age, consent, contact) is asked in access.account_gate."""
    if not may_see(policy, persona):
        return False
    if persona.state == Persona.State.REFUSED:
        return False
    if policy.age_band is None or policy.is_minor:
        # Their own draft, or their own companion rated for older people, is read but not talked with.
        return persona.state == Persona.State.PUBLISHED and AgeRating(
            persona.age_rating
        ).minimum_age <= _years(policy)
    return not (policy.age_band is AgeBand.ELDER and persona.relationship == Relationship.KIN)


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


def relationships(policy: EffectivePolicy | None) -> list[Relationship]:
    """Those that this reader can find something under: a filter must not tell of what is closed."""
    rows = Persona.objects.filter(_published_for(policy))
    found = {row.relationship for row in rows.defer("card") if may_see(policy, row)}
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
