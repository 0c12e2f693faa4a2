"""The person's own page about their emergency contacts: how each of them stands, ask, test, change."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.care import ContactDetails
from accounts.forms import CareForm
from accounts.models import User
from guardians import contacts
from guardians.models import EmergencyContact
from safety import contact_agreement
from safety.care_notices import Kind
from safety.contact_agreement import Result

State = EmergencyContact.State
REFUSALS: Final[Mapping[str, Promise]] = {
    "too_soon": gettext_lazy("That was done a short while ago. Please wait a little."),
    "too_many": gettext_lazy("Enough notices went out for today. Please try again tomorrow."),
    "no_channel": gettext_lazy("This site cannot send to a telephone number. Please add an e-mail address."),
}


@dataclass(frozen=True)
class Shown:
    """A contact as the person sees it."""

    row: EmergencyContact
    details: ContactDetails | None  # None: it does not open any more
    reachable: bool
    may_ask: bool
    may_test: bool
    tests: Sequence[Result]


def context(user: User, now: dt.datetime) -> dict[str, object]:
    """For templates/guardians/_contacts.html. Who was marked unsafe is not shown: a phone may lie on the table."""
    rows = [row for row in contacts.of(user) if row.state != State.UNSAFE]
    return {
        "contacts": [
            Shown(
                row,
                contacts.opened(row),
                contact_agreement.can_be_reached(row),
                contact_agreement.may_write(Kind.CONTACT_ASK, row, now),
                contact_agreement.may_write(Kind.CONTACT_TEST, row, now),
                contact_agreement.last_test(row),
            )
            for row in rows
        ],
        "contacts_usable": len(contacts.usable(rows)),
        "contacts_most": contacts.MOST,
    }


@login_required
@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "guardians/contacts.html", context(_user(request), timezone.now()))


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponse:
    """Another contact, or other details of one: whoever is new is asked at once."""
    user, now = _user(request), timezone.now()
    row = _own(user, pk, *contacts.USABLE) if pk else None
    before = contacts.opened(row) if row else None
    form = CareForm(
        request.POST or None,
        user=user,
        minor=False,
        suggest_simple=False,
        initial=vars(before) if before else {},
    )
    if form.is_valid():
        try:
            contact_agreement.give(user, form.details, now=now, instead_of=row)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("Your emergency contact is saved."))
            return redirect("contacts")
    return render(request, "guardians/contact_form.html", {"form": form, "row": row})


@login_required
@require_POST
def ask(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return _write(request, Kind.CONTACT_ASK, pk, _("We are writing to them now."))


@login_required
@require_POST
def test(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    return _write(
        request, Kind.CONTACT_TEST, pk, _("A test notice is on its way. Look here again in a minute.")
    )


def _write(request: HttpRequest, kind: Kind, pk: uuid.UUID, done: str) -> HttpResponse:
    row = _own(_user(request), pk, *contacts.USABLE)
    why_not = contact_agreement.write(kind, row, timezone.now())
    if why_not:
        messages.warning(request, str(REFUSALS[why_not]))
    else:
        messages.success(request, done)
    return redirect("contacts")


def _own(user: User, pk: uuid.UUID, *states: str) -> EmergencyContact:
    return get_object_or_404(
        EmergencyContact.objects.select_related("user"), pk=pk, user=user, state__in=states
    )


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # behind login_required
