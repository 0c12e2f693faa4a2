"""Pages without a person's data: home, what we tell, help lines, and how this device shows pages."""

from typing import Any

from babel import Locale
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, to_locale
from django.views.decorators.http import require_POST, require_safe

from accounts import simple_mode
from accounts.care import AGREEMENT_VERSION
from accounts.models import User
from companion import personas
from companion.llm import weights
from companion.templatetags.page import HELP_COUNTRY, TEXT_COOKIE, TEXT_SIZES, THEME_COOKIE, THEMES
from companion.views import simple as simple_views
from guardians.limits import effective_policy
from safety import resources

HOME_PORTRAITS = 7
_FIRST = ("medical", "police", "fraud", "crisis")  # kinds of help lines
COOKIE_AGE = 365 * 24 * 3600  # seconds


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    policy = effective_policy(request.user, timezone.now()) if isinstance(request.user, User) else None
    language = get_language() or "en"
    if simple_mode.chosen(request):
        mine = simple_views.home_context(request.user, language) if isinstance(request.user, User) else {}
        return render(request, "simple/home.html", mine)
    shown = personas.visible_personas(policy, language)
    context = {"personas": shown[:HOME_PORTRAITS], "suggest_simple": simple_views.suggested(request)}
    return render(request, "pages/home.html", context)


@require_safe
def about(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/about.html", {"operator": _operator()})


@require_safe
def labels(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/labels.html")


@require_safe
def model_info(request: HttpRequest) -> HttpResponse:
    """Which model answers, and the licences of the embedded ones where they do."""
    embedded = settings.ANBAN_DEMO_MODEL and not settings.LLM_GGUF_PATH
    context = {
        "operator": _operator(),
        "model_name": settings.LLM_MODEL,
        "own_file": bool(settings.LLM_GGUF_PATH),
        "demo_models": [
            {"facts": model, "text": weights.licence_text(model.id)}
            for model in weights.EMBEDDED_MODELS
            if embedded and model.version
        ],
    }
    return render(request, "pages/model_info.html", context)


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/terms.html", {"operator": _operator(), "version": AGREEMENT_VERSION})


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    context = {
        "operator": _operator(),
        "version": AGREEMENT_VERSION,
        "local_model": settings.ANBAN_DEMO_MODEL,
    }
    return render(request, "pages/privacy.html", context)


@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """Works for everybody, logged in or not; the lines of one's own country first, others by choice."""
    names = Locale.parse(to_locale(get_language() or "en")).territories
    countries = {line.country: names.get(line.country, line.country) for line in resources.every_line()}
    countries.pop("", None)
    country = request.GET.get("country", "")
    chosen = country if country in countries else HELP_COUNTRY
    lines = resources.help_lines(chosen)
    if simple := simple_mode.chosen(request):  # what cannot wait first, then money
        lines.sort(
            key=lambda line: next((i for i, kind in enumerate(_FIRST) if kind in line.kinds), len(_FIRST))
        )
    context = {"lines": lines, "countries": countries.items(), "country": chosen}
    return render(request, "simple/help.html" if simple else "pages/help.html", context)


@require_POST
def set_display(request: HttpRequest) -> HttpResponse:
    """Remember day or night and the size of text on this device. No script: the next page is simply rendered so."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "home"
    response = redirect(target)
    for field, cookie, allowed in (("theme", THEME_COOKIE, THEMES), ("text", TEXT_COOKIE, TEXT_SIZES)):
        value = request.POST.get(field, "")
        if value in allowed:
            response.set_cookie(
                cookie, value, COOKIE_AGE, secure=request.is_secure(), httponly=True, samesite="Lax"
            )
    return response


def _operator() -> dict[str, Any]:
    """Who answers for this site; the pages say so when nobody has entered it."""
    return {
        "name": getattr(settings, "OPERATOR_NAME", ""),
        "contact": getattr(settings, "OPERATOR_CONTACT", ""),
        "filing": getattr(settings, "OPERATOR_FILING", ""),
    }
