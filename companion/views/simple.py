"""Simple mode: its own page (what it is, on, off), and the page of the person's family."""

from contextlib import suppress
from typing import Any, Final

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import keyring, preferences, simple_mode
from accounts.age import AgeBand
from accounts.care import Relation
from accounts.models import User
from companion import personas, portrayal
from companion.models import Conversation, Message
from guardians import contacts, links
from guardians.limits import EffectivePolicy, effective_policy
from guardians.models import EmergencyContact, Guardianship

_NOT_TO_CALL: Final = (EmergencyContact.State.UNSAFE, EmergencyContact.State.REFUSED)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Open to everybody, under its own name, so that it can be found, linked and searched for."""
    return render(request, "simple/about.html")


@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """On or off, for the account or for a visitor's browser. Leaving takes one press and gives no argument."""
    on = request.POST.get("simple") == "on"
    if isinstance(request.user, User):
        preferences.change(request.user, simple_mode=on)
    response = redirect("home")
    simple_mode.keep_for_visitor(request, response, on=on)
    messages.success(request, _("Simple mode is on.") if on else _("Simple mode is off."))
    return response


@require_safe
def family(request: HttpRequest) -> HttpResponse:
    """Whom to call: the emergency contacts, or a minor's guardian. Never stored by the browser: these are numbers."""
    people = _people(request.user) if isinstance(request.user, User) else []
    response = render(request, "simple/family.html", {"people": people})
    response["Cache-Control"] = "no-store"
    return response


def home_context(user: User, language: str) -> dict[str, Any]:
    """What the three doors of the start page say."""
    policy = effective_policy(user, timezone.now())
    return {"last_talk": _last_talk(policy, language), "people": _people(user)}


def suggested(request: HttpRequest) -> bool:
    """From sixty on it is offered on the start page, once the account is complete; chosen or not, it stays there quietly."""
    if not isinstance(request.user, User) or request.user.simple_mode:
        return False
    return effective_policy(request.user, timezone.now()).age_band is AgeBand.ELDER


def _last_talk(policy: EffectivePolicy, language: str) -> dict[str, Any] | None:
    """The newest conversation that may go on."""
    newest = Message.objects.filter(conversation=OuterRef("pk")).order_by("-pk").values("created_at")[:1]
    rows = (
        Conversation.objects.filter(user=policy.user_id)
        .select_related("persona")
        .annotate(newest=Subquery(newest))
        .order_by("-newest", "-created_at")[:20]
    )
    row = next((row for row in rows if personas.may_talk(policy, row.persona)), None)
    return {"conversation": row, "persona": portrayal.face(row.persona, language)} if row else None


def _people(user: User) -> list[dict[str, Any]]:
    """Name, number and state of those who may be called. A row that does not open any more is passed over."""
    rows: list[Guardianship | EmergencyContact] = []
    if effective_policy(user, timezone.now()).is_minor:
        rows += filter(None, [links.current(user)])
    else:
        rows += [row for row in contacts.of(user) if row.state not in _NOT_TO_CALL]
    found = []
    for row in rows:
        with suppress(keyring.KeyringError):
            opened = links.open_details(row) if isinstance(row, Guardianship) else contacts.open_details(row)
            found.append({"details": opened, "relation": Relation(opened.relation).label, "state": row.state})
    return found
