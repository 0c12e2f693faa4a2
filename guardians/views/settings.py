"""What a guardian sets for a minor, as part of the panel and as a page of its own. Works without JavaScript."""

import uuid
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from companion import access as turns
from companion import personas, portrayal
from companion.cards import Mood, Relationship
from companion.models import Persona
from companion.personas import INTIMATE
from companion.views.use import LimitsForm
from guardians import access, limits, minor_settings
from guardians.access import Right
from guardians.limits import Choices, EffectivePolicy, effective_policy
from guardians.minor_settings import Companions, Features, NotAllowed, Time
from guardians.models import Guardianship

SHOWN: Final = 120  # companions to choose from; a form has room for 200 fields
MARKS: Final = ",，、;；\n"  # between words

Wished = Time | Companions | Features


class TimeForm(LimitsForm):
    """As one's own limits, within what the operator lets guardians set."""

    prefix = "time"

    def __init__(self, *args: Any, most: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["daily_minutes"] = forms.IntegerField(
            label=gettext_lazy("Minutes a day"),
            help_text=_("At most %(most)s. Leave it empty for what holds for their age.") % {"most": most},
            required=False,
            min_value=0,
            max_value=most,
            widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
        )
        self.order_fields(["daily_minutes", "quiet_from", "quiet_until"])

    def time(self) -> Time:
        own = self.wished()
        return Time(own.daily_minutes, own.quiet)


class FeaturesForm(forms.Form):
    prefix = "features"
    voice = forms.BooleanField(label=gettext_lazy("Talking aloud, and being read to"), required=False)
    memory = forms.BooleanField(
        label=gettext_lazy("Companions remember what they are asked to"), required=False
    )

    def wished(self) -> Features:
        return Features(**self.cleaned_data)


@dataclass(frozen=True)
class Word:
    """A tag, mood or relationship to tick: `value` is what is stored, any of `known` means it."""

    value: str
    label: str
    known: frozenset[str]
    blocked: bool
    kind: bool  # a relationship or a mood


@dataclass(frozen=True)
class Choice:
    """A companion that fits the minor's age."""

    id: uuid.UUID
    name: str
    tagline: str
    open: bool  # ticked
    by_word: bool  # closed by a word, whatever is ticked


@login_required
@never_cache
@require_safe
def page(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    return _page(request, _link(request, minor_id))


@login_required
@require_POST
def set_time(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    link = _link(request, minor_id)
    form = _time_form(link.minor, request)
    if not form.is_valid():
        return _page(request, link, time=form)
    return _change(request, link, form.time())


@login_required
@require_POST
def set_companions(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    """Ticked is open. What was not shown stays as it is."""
    link = _link(request, minor_id)
    policy = effective_policy(link.minor, timezone.now())
    listed = {row.public_id for row in _fitting(policy)}
    shown = listed & _uuids(request.POST.get("shown", "").split())
    ticked = shown & _uuids(request.POST.getlist("open"))
    only = request.POST.get("new") == "closed"
    before = policy.choices.approved or frozenset()
    words = {word.value for word in _words(policy) if word.value in request.POST.getlist("word")}
    wished = Companions(
        blocked=(policy.blocked_personas - ticked) | (frozenset() if only else shown - ticked),
        approved=frozenset((before - shown) | ticked) if only else None,
        tags=frozenset(words | set(_split(request.POST.get("words", "")))),
    )
    return _change(request, link, wished)


@login_required
@require_POST
def set_features(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    link = _link(request, minor_id)
    form = FeaturesForm(request.POST)
    form.is_valid()  # two boxes: there is nothing wrong to say
    return _change(request, link, form.wished())


def context(link: Guardianship, policy: EffectivePolicy) -> dict[str, Any]:
    """What templates/guardians/_settings.html shows of a minor whose policy this is; forms for those who may change it.

    A page with `mirror` shows the same to the minor, without the forms.
    """
    minor, now = link.minor, timezone.now()
    role = access.role_of(link)
    choices = _companions(policy)
    words = _words(policy)
    named = frozenset().union(*(word.known for word in words))
    others = sorted(policy.choices.blocked_tags - named)
    band = policy.age_band
    return {
        "rules": {
            "minor": minor,
            "editable": role is not None and Right.EDIT in access.RIGHTS[role],
            "sources": [
                each
                for each in limits.sources(minor, band, now)
                if each.daily_minutes is not None or each.quiet
            ],
            "given": policy.extra_minutes,
            "companions": choices,
            "shown": " ".join(str(each.id) for each in choices),
            "only_approved": policy.choices.approved is not None,
            "closed": [each for each in choices if not each.open],
            "open": [each for each in choices if each.open and not each.by_word],
            "kinds": [word for word in words if word.kind],
            "tags": [word for word in words if not word.kind],
            "tags_blocked": any(word.blocked for word in words if not word.kind),
            "others": _(", ").join(others),
            "blocked_words": [word.label for word in words if word.blocked] + others,
            "features": policy.choices,
            "time": _time_form(minor),
            "feature_form": FeaturesForm(
                initial={"voice": policy.choices.voice, "memory": policy.choices.memory}
            ),
        }
    }


def _page(request: HttpRequest, link: Guardianship, **changed: Any) -> HttpResponse:
    policy = effective_policy(link.minor, timezone.now())
    shown = context(link, policy)
    shown["rules"].update(changed)
    status = 422 if changed else 200
    return render(request, "guardians/settings.html", shown | {"minor": link.minor}, status=status)


def _change(request: HttpRequest, link: Guardianship, wished: Wished) -> HttpResponse:
    """Replies of companions that close with it are ended by the same transaction."""
    now = timezone.now()
    try:
        with transaction.atomic(durable=True):
            if isinstance(wished, Companions):
                turns.stop_closed(link.minor_id, _after(link.minor, wished))
            minor_settings.change(link, _user(request), wished, now)
    except access.NotFound:
        raise Http404 from None
    except NotAllowed:
        messages.error(request, _("That is more than can be kept. Nothing was changed."))
    else:
        messages.success(request, _("Saved. It holds from now on, also in a chat that is open."))
    return redirect(f"{reverse('panel', args=[link.minor_id])}#settings")


def _after(minor: User, wished: Companions) -> EffectivePolicy:
    policy = effective_policy(minor, timezone.now())
    choices = replace(
        policy.choices, approved=wished.approved, blocked_tags=minor_settings.words(wished.tags)
    )
    return replace(policy, blocked_personas=wished.blocked, choices=choices)


def _fitting(policy: EffectivePolicy) -> list[Persona]:
    """Companions that the minor's age opens, whatever was chosen; never what they wrote themselves."""
    plain = replace(policy, blocked_personas=frozenset(), choices=Choices())
    return personas.fitting(plain, SHOWN)


def _companions(policy: EffectivePolicy) -> list[Choice]:
    language = get_language() or "en"
    words = replace(policy, blocked_personas=frozenset(), choices=replace(policy.choices, approved=None))
    approved = policy.choices.approved
    found = []
    for row in _fitting(policy):
        face = portrayal.face(row, language)
        ticked = row.public_id not in policy.blocked_personas
        if approved is not None:
            ticked = ticked and row.public_id in approved
        by_word = not personas.may_see(words, row)
        found.append(Choice(row.public_id, face.name, face.tagline, ticked, by_word))
    return found


def _words(policy: EffectivePolicy) -> list[Word]:
    """Relationships and moods, then the tags of built-in cards; others are written."""
    language = get_language() or "en"
    blocked = policy.choices.blocked_tags
    found: dict[str, Word] = {}

    def add(value: str, label: str, known: frozenset[str], kind: bool) -> None:
        found.setdefault(value, Word(value, label, known, not blocked.isdisjoint(known), kind))

    for each in (*(r for r in Relationship if r not in INTIMATE), *Mood):
        add(each.value, str(each.label), personas.named(each), True)
    for row in _fitting(policy):
        if row.author_id is None:
            for tag in portrayal.builtin_card(row).tags:
                add(tag.en.lower(), tag.in_language(language), minor_settings.words((tag.zh, tag.en)), False)
    return list(found.values())


def _time_form(minor: User, request: HttpRequest | None = None) -> TimeForm:
    now = timezone.now()
    band = limits.effective_band(minor, now)
    most = limits.longest(band) if band in limits.DAILY else 0
    if request is not None:
        return TimeForm(request.POST, most=most)
    time = minor_settings.time_of(minor, now)
    begins, ends = time.quiet or (None, None)
    initial = {"daily_minutes": time.daily_minutes, "quiet_from": begins, "quiet_until": ends}
    return TimeForm(initial=initial, most=most)


def _split(text: str) -> list[str]:
    for mark in MARKS:
        text = text.replace(mark, "\0")
    return [word for word in text.split("\0") if word.strip()]


def _uuids(texts: list[str]) -> frozenset[uuid.UUID]:
    found = set()
    for text in texts:
        try:
            found.add(uuid.UUID(text))
        except ValueError:
            continue
    return frozenset(found)


def _link(request: HttpRequest, minor_id: uuid.UUID) -> Guardianship:
    try:
        return access.link_of(_user(request), minor_id, Right.EDIT)
    except access.NotFound:
        raise Http404 from None


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
