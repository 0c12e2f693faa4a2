"""The gallery, a companion's page, and the companions that people write."""

from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import simple_mode, switches
from accounts.models import User
from companion import authoring, personas, service_notices
from companion.cards import Mood, Relationship
from companion.forms import PersonaForm
from companion.models import Persona
from guardians.limits import EffectivePolicy, effective_policy

Choice = TypeVar("Choice", bound=StrEnum)


@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    policy = _policy(request)
    mood = _choice(Mood, request.GET.get("mood", ""))
    relationship = _choice(Relationship, request.GET.get("relationship", ""))
    found = personas.visible_personas(policy, _language(), relationship=relationship, mood=mood)
    page = Paginator(found, personas.PAGE_SIZE).get_page(request.GET.get("page"))
    filters = [
        _filter(_("Mood"), "mood", mood, list(Mood), request),
        _filter(_("Relationship"), "relationship", relationship, personas.relationships(policy), request),
    ]
    own = personas.own_personas(policy, _language()) if policy is not None else []
    context = {"page": page, "filters": filters, "filtered": mood or relationship, "own": own}
    page_of = simple_mode.page_for(request, "companion/gallery.html", "simple/gallery.html")
    return render(request, page_of, context)


@require_safe
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    policy = _policy(request)
    try:
        persona = personas.access_persona(policy, slug)
    except personas.NotFound:
        raise Http404 from None
    zone = request.user.time_zone if isinstance(request.user, User) else settings.TIME_ZONE
    context = {
        "persona": personas.show(persona, _language(), policy),
        "announced": service_notices.of_persona(persona.pk, _language(), zone, timezone.now()),
        "may_talk": policy is not None and personas.may_talk(policy, persona),
        "reason": authoring.Reason(persona.review_reason).label if persona.review_reason else "",
    }
    return render(request, "companion/persona.html", context)


@login_required
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    policy = _signed_in_policy(request)
    return render(
        request, "companion/my_personas.html", {"personas": personas.own_personas(policy, _language())}
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    policy = _signed_in_policy(request)
    if authoring.switched_off():
        return _switched_off(request)
    form = PersonaForm(request.POST or None, author=policy)
    if request.method == "POST" and form.is_valid():
        try:
            persona = authoring.create(policy, form.draft())
        except authoring.Closed:
            return _closed(request)
        except authoring.NotPossible:
            form.add_error(
                None, _("You have written as many companions as one person can keep. Delete one first.")
            )
        else:
            messages.success(request, _("Your draft is saved. Only you can see it."))
            return redirect("persona", persona.slug)
    return render(request, "companion/persona_form.html", {"form": form, "persona": None})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    policy = _signed_in_policy(request)
    persona = _own(policy, slug)
    if not personas.may_see(policy, persona):  # one for adults, in minors' mode; erasing it stays possible
        raise Http404
    initial = PersonaForm.initial_of(persona.open_card(), persona.relationship, persona.age_rating)
    form = PersonaForm(request.POST or None, initial=initial, author=policy)
    if request.method == "POST" and form.is_valid():
        try:
            authoring.edit(policy, persona, form.draft())
        except authoring.Closed:
            return _closed(request)
        except authoring.NotPossible:
            form.add_error(None, _("It was changed in another window meanwhile. Load the page again first."))
        else:
            messages.success(request, _("Saved as a draft. Others can use it again after a review."))
            return redirect("persona", persona.slug)
    context = {"form": form, "persona": personas.show(persona, _language(), policy)}
    return render(request, "companion/persona_form.html", context)


@login_required
@require_POST
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    policy = _signed_in_policy(request)
    try:
        authoring.submit(policy, _own(policy, slug))
    except authoring.Closed:
        return _closed(request)
    except authoring.NotPossible:
        messages.warning(request, _("Only a draft can be submitted. Load the page to see where it stands."))
    else:
        messages.success(request, _("Submitted. A person of the team reads it before others can see it."))
    return redirect("my_personas")


@login_required
@require_POST
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    policy = _signed_in_policy(request)
    authoring.delete(policy, _own(policy, slug))
    messages.success(request, _("Deleted. Nobody can talk with it any more."))
    return redirect("my_personas")


def _switched_off(request: HttpRequest) -> HttpResponse:
    sentence = switches.sentence(switches.Name.WRITTEN_PERSONAS, _language())
    messages.warning(request, sentence or _("Writing companions is turned off for everybody for now."))
    return redirect("my_personas")


def _closed(request: HttpRequest) -> HttpResponse:
    if authoring.switched_off():
        return _switched_off(request)
    messages.warning(
        request, _("A measure against your account closes this. You can read why here, and object.")
    )
    return redirect("measures")


def _own(policy: EffectivePolicy, slug: str) -> Persona:
    try:
        return authoring.access_own(policy, slug)
    except personas.NotFound:
        raise Http404 from None


def _policy(request: HttpRequest) -> EffectivePolicy | None:
    return effective_policy(request.user, timezone.now()) if isinstance(request.user, User) else None


def _signed_in_policy(request: HttpRequest) -> EffectivePolicy:
    assert isinstance(request.user, User)
    return effective_policy(request.user, timezone.now())


def _language() -> str:
    return get_language() or "en"


def _choice(choices: type[Choice], value: str) -> Choice | None:
    """A filter from the address; an unknown one is none."""
    return choices(value) if value in set(choices) else None


def _filter(
    name: str, key: str, chosen: StrEnum | None, choices: list[Any], request: HttpRequest
) -> dict[str, Any]:
    """One row of the gallery's filters as plain links that keep the other row's choice."""
    others = {k: request.GET[k] for k in ("mood", "relationship") if k in request.GET and k != key}
    links = [{"label": _("All"), "query": urlencode(others), "current": chosen is None}]
    links += [
        {"label": choice.label, "query": urlencode(others | {key: choice.value}), "current": choice is chosen}
        for choice in choices
    ]
    return {"name": name, "key": key, "links": links}
