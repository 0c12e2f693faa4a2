"""The form with which people write a companion."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.age import AgeBand
from companion import authoring
from companion.authoring import Draft
from companion.cards import LIMITS, AgeRating, Mood, Relationship
from companion.personas import INTIMATE
from guardians.limits import EffectivePolicy

EXAMPLES = 3
TAG_MARKS = ",，、;；\n"


class PersonaForm(forms.Form):
    """One language of a card. Saving runs the automatic check, so a stored draft has passed it."""

    name = forms.CharField(label=_("Name"), max_length=LIMITS["name"])
    tagline = forms.CharField(
        label=_("One true sentence"),
        help_text=_("What one should know first. It stands under the name."),
        max_length=LIMITS["tagline"],
    )
    description = forms.CharField(
        label=_("Description"),
        help_text=_("Who is this, and what is it good to talk with them about?"),
        max_length=LIMITS["description"],
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    relationship = forms.ChoiceField(
        label=_("Relationship"), help_text=_("What the companion is to the person who talks with it.")
    )
    age_rating = forms.ChoiceField(
        label=_("For whom"),
        help_text=_("The youngest person it is meant for. A reviewer may raise the age."),
        choices=[(rating.value, rating.label) for rating in AgeRating],
        initial=AgeRating.FROM_18.value,
    )
    moods = forms.MultipleChoiceField(
        label=_("Mood"),
        help_text=_("The gallery's filter uses it."),
        choices=[(mood.value, mood.label) for mood in Mood],
        widget=forms.CheckboxSelectMultiple,
    )
    greeting = forms.CharField(
        label=_("First words"),
        help_text=_("What it says when a conversation begins."),
        max_length=LIMITS["greeting"],
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    character = forms.CharField(
        label=_("Character"),
        help_text=_(
            "How it speaks, what it likes, what it never does. The model reads this. "
            "The rules that keep people safe always stand above it."
        ),
        max_length=LIMITS["character"],
        widget=forms.Textarea(attrs={"rows": 7}),
    )
    tags = forms.CharField(
        label=_("Tags"),
        help_text=_("Up to six words, with commas between them."),
        required=False,
        max_length=200,
    )
    invented = forms.BooleanField(label=_("I invented this character. It is no real person, living or dead."))

    def __init__(self, *args: Any, author: EffectivePolicy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.author = author
        young = author.is_minor or author.age_band is None
        relationship = cast(forms.ChoiceField, self.fields["relationship"])
        elder = author.age_band is AgeBand.ELDER
        closed = INTIMATE if young else {Relationship.KIN} if elder else frozenset()
        relationship.choices = [(r.value, r.label) for r in Relationship if r not in closed]
        for number in range(1, EXAMPLES + 1):
            self.fields[f"user_{number}"] = forms.CharField(
                label=_("A person says"), required=False, max_length=LIMITS["user"]
            )
            self.fields[f"companion_{number}"] = forms.CharField(
                label=_("The companion answers"), required=False, max_length=LIMITS["companion"]
            )

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("name", "tagline", "description")]

    @property
    def class_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("relationship", "age_rating", "moods", "tags")]

    @property
    def voice_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("greeting", "character")]

    @property
    def example_pairs(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"user_{n}"], self[f"companion_{n}"]) for n in range(1, EXAMPLES + 1)]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors:
            for problem in authoring.check(self.draft(), self.author):
                self.add_error(
                    problem.field if problem.field in self.fields else "user_1", str(problem.message)
                )
        return data

    def draft(self) -> Draft:
        data = self.cleaned_data
        pairs = [(data[f"user_{n}"], data[f"companion_{n}"]) for n in range(1, EXAMPLES + 1)]
        return Draft(
            name=data["name"],
            tagline=data["tagline"],
            description=data["description"],
            greeting=data["greeting"],
            character=data["character"],
            relationship=Relationship(data["relationship"]),
            age_rating=AgeRating(data["age_rating"]),
            moods=tuple(Mood(mood) for mood in data["moods"]),
            examples=tuple(pair for pair in pairs if any(pair)),
            tags=_tags(data["tags"]),
        )

    @staticmethod
    def initial_of(card: dict[str, Any], relationship: str, age_rating: str) -> dict[str, Any]:
        """A stored card as the form shows it."""
        initial: dict[str, Any] = {
            key: card[key] for key in ("name", "tagline", "description", "greeting", "character", "moods")
        }
        initial |= {"relationship": relationship, "age_rating": age_rating, "invented": True}
        initial["tags"] = gettext(", ").join(card["tags"])
        for number, pair in enumerate(card["examples"][:EXAMPLES], start=1):
            initial |= {f"user_{number}": pair["user"], f"companion_{number}": pair["companion"]}
        return initial


def _tags(text: str) -> tuple[str, ...]:
    for mark in TAG_MARKS:
        text = text.replace(mark, "\0")
    return tuple(dict.fromkeys(tag.strip() for tag in text.split("\0") if tag.strip()))
