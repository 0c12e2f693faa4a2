"""The minor's own page about who looks after them: naming, confirming, asking that a link ends."""

import contextlib
import datetime as dt
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts import keyring
from accounts.care import ContactDetails
from accounts.forms import CareForm
from accounts.models import User
from guardians import access, consents, endings, invitations, links
from guardians.models import Guardianship
from safety.models import Appeal

ENDED_SHOWN = dt.timedelta(days=30)
State = Guardianship.State


def page(request: HttpRequest, user: User) -> HttpResponse:
    """The guardian's part of /accounts/care/."""
    now = timezone.now()
    rows = links.of(user)
    in_force = [_shown(row) for row in rows if row.state == State.ACTIVE]
    waiting = next((row for row in rows if row.state == State.ACCEPTED), None)
    invited = links.named(user, None).first()
    details = opened(invited) if invited else None
    form = None
    if waiting is None and len(in_force) < links.MOST:
        form = CareForm(
            request.POST or None,
            user=user,
            minor=True,
            suggest_simple=False,
            initial=asdict(details) if details else {},
        )
        if form.is_valid():
            # The guardian may have answered a moment ago: then the page says so instead of replacing them.
            with contextlib.suppress(links.LinkError):
                links.invite(user, form.details, actor=user.pk, now=now)
            return redirect("care")
    context = {
        "form": form,
        "step": "guardian",
        "in_force": in_force,
        "consented": consents.in_force(user),
        "waiting": waiting,
        "yours_to_confirm": waiting is not None and invitations.may_confirm(waiting, user),
        "details": details,
        "sent_at": invited.invitations.order_by("-created_at").values_list("created_at", flat=True).first()
        if invited
        else None,
        "by_guardian": [opened(row) for row in rows if row.state == State.INVITED and row.role_offered],
        "ended": _ended(user, now) if not in_force else None,
    }
    return render(request, "accounts/care.html", context)


def opened(row: Guardianship) -> ContactDetails | None:
    """None when the text does not open any more: the page then asks for it again instead of failing."""
    try:
        return links.open_details(row)
    except keyring.KeyringError:
        return None


def _shown(row: Guardianship) -> dict[str, Any]:
    details, role = opened(row), access.role_of(row)
    appeals = Appeal.objects.filter(person=row.minor_id, subject_id=row.pk).order_by("-pk")
    return {
        "link": row,
        "name": details.name if details else row.guardian.nickname if row.guardian else "",
        "role": role.label if role else "",
        "asked": endings.asked(row),
        "declined": row.end_declined_at,
        "appeal": appeals.first(),
    }


def _ended(user: User, now: dt.datetime) -> Guardianship | None:
    """Nobody looks after the account any more: since when."""
    over = Guardianship.objects.filter(minor=user, state=State.ENDED, ended_at__gt=now - ENDED_SHOWN)
    return over.exclude(guardian=None).order_by("-ended_at").first()
