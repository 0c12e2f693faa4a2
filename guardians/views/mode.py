"""Minors' mode: what it means, turning it on, leaving it, and what a person says when it came by signs.

A GET changes nothing.
"""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from companion import turns
from guardians import minors_mode
from guardians.limits import effective_policy
from guardians.minors_mode import ModeError
from safety import age_reviews, appeals
from safety.models import Appeal
from safety.moderation import NotPossible

_WHY: dict[str, Promise] = {
    "off": gettext_lazy("Minors' mode is not on."),
    "birth_date": gettext_lazy("You are under 18, so minors' mode stays on."),
    "human": gettext_lazy("Minors' mode stays on until a person of our team has decided."),
}


class StatementForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("What should the person who decides know?"),
        help_text=gettext_lazy(
            "In your own words. You need not send any document. It is stored encrypted and deleted with the decision."
        ),
        max_length=age_reviews.MAX_STATEMENT,
        widget=forms.Textarea(attrs={"rows": 6}),
    )


@never_cache
@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Where somebody stands, what the mode means, and what they can do about it."""
    from_chat = request.GET.get("from") == "chat"
    return render(request, "guardians/mode.html", {**_context(_user(request)), "from_chat": from_chat})


@login_required
@require_POST
def turn_on(request: HttpRequest) -> HttpResponse:
    user, now = _user(request), timezone.now()
    where: minors_mode.Where = "chat" if request.POST.get("from") == "chat" else "settings"
    with transaction.atomic(durable=True):
        turns.stop_all(user.pk)  # what is being written was begun by other rules
        if minors_mode.turn_on(user, where, now=now):
            messages.success(request, _("Minors' mode is on."))
    return redirect("minors_mode")


@login_required
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    user, now = _user(request), timezone.now()
    try:
        with transaction.atomic(durable=True):
            minors_mode.leave(user, now=now)
    except ModeError as error:
        messages.warning(request, str(_WHY[error.code]))
    else:
        messages.success(request, _("Minors' mode is off."))
    return redirect("minors_mode")


@login_required
@require_POST
def say(request: HttpRequest) -> HttpResponse:
    """What somebody says to it that signs made us doubt their age."""
    user, form = _user(request), StatementForm(request.POST)
    if not form.is_valid():
        return render(request, "guardians/mode.html", {**_context(user), "form": form})
    try:
        age_reviews.state(user, form.cleaned_data["text"])
    except NotPossible:
        messages.warning(request, _("It has been decided meanwhile."))
    else:
        messages.success(request, _("Thank you. The person who decides will read it."))
    return redirect("minors_mode")


def _context(user: User) -> dict[str, Any]:
    now = timezone.now()
    policy = effective_policy(user, now)
    why = minors_mode.why_not_leave(user, now)
    review = age_reviews.newest_of(user.pk) if user.minors_mode else None
    waits = review is not None and review.state == "open"
    objection = appeals.ground(user, Appeal.Subject.AGE, user.pk, now) if why == "human" else None
    return {
        "on": policy.is_minor,
        "why": why,
        "mode": user.minors_mode,
        "review": review,
        "waits": waits,
        "stated": waits and review is not None and review.statement is not None,
        "days": age_reviews.days(),
        "form": StatementForm() if waits else None,
        "may_appeal": objection is not None,
        "daily_minutes": policy.daily_minutes,
    }


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # behind login_required
