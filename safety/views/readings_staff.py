"""Staff pages of readings: ask to read without a case, agree to it as the second person, read, and review.

Asking and agreeing need the password or the second step anew. The reason is on the page of whoever may agree, no text is.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from companion import case_window
from companion.models import Conversation, Message
from safety import clock, readings
from safety.models import StaffSession
from safety.readings import Refused
from safety.views.console_door import View, door

REFUSALS: Final[dict[str, Promise]] = {
    "not_staff": _("Your role does not allow this."),
    "oneself": _("This is about you. Only colleagues can do it."),
    "no_case": _("There is nothing to read for this case any more."),
    "reason": _("Write at least 20 characters about why it has to be read."),
    "other_staff": _("This right to read is somebody else's."),
    "same_person": _("A second person has to do this. Please ask a colleague."),
    "not_approved": _("A second person has to agree before you can read this."),
    "expired": _("The time for it is over. Ask again if it is still needed."),
    "done": _("This was done already."),
}
LISTED: Final = 100


class RequestForm(forms.Form):
    conversation = forms.UUIDField(
        label=_("Conversation"), help_text=_("Its id, or the id of a message in it, as in a report.")
    )
    reason = forms.CharField(
        label=_("Why it has to be read"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "At least 20 characters. A colleague reads it before agreeing; the person reads it afterwards."
        ),
    )


def step_up(view: View) -> View:
    """Who signed in hours ago shows again that it is them. allauth's own decorator would keep the written reason in the
    login session meanwhile."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if did_recently_reauthenticate(request):
            return view(request, *args, **kwargs)
        return redirect(f"{reverse('account_reauthenticate')}?next={reverse('staff_readings')}")

    return inner


@door("GET")
@step_up
def index(request: HttpRequest, staff: User) -> HttpResponse:
    return _index(request, staff, RequestForm())


@door("POST")
@step_up
def ask(request: HttpRequest, staff: User) -> HttpResponse:
    form = RequestForm(request.POST)
    conversation = _conversation(form.cleaned_data["conversation"]) if form.is_valid() else None
    if form.is_valid() and conversation is None:
        form.add_error("conversation", _("There is no such conversation or message."))
    if conversation is None:
        return _index(request, staff, form, status=422)
    try:
        session = readings.break_glass(
            staff, conversation.user, conversation.public_id, form.cleaned_data["reason"], clock.now()
        )
    except Refused as refused:
        form.add_error("reason" if refused.code == "reason" else None, str(REFUSALS[refused.code]))
        return _index(request, staff, form, status=422)
    if session.approved_at is None:
        messages.success(request, _("Noted. You can read as soon as a second person has agreed."))
        return redirect("staff_readings")
    return redirect("staff_reading", pk=session.pk)


@door("GET")
def reading(request: HttpRequest, staff: User, pk: uuid.UUID) -> HttpResponse:
    """The last messages, as long as the right lasts. What is read is counted and shown to the person."""
    session, now = _found(staff, pk), clock.now()
    try:
        readings.check(session, staff, now)
        lines = case_window.lines(session, now)
    except Refused as refused:
        messages.warning(request, str(REFUSALS[refused.code]))
        return redirect("staff_readings")
    return _page(request, "reading", {"session": session, "lines": lines})


@door("POST")
@step_up
def approve(request: HttpRequest, staff: User, pk: uuid.UUID) -> HttpResponse:
    return _act(request, staff, pk, lambda session: readings.approve(session, staff, clock.now()))


@door("POST")
def review(request: HttpRequest, staff: User, pk: uuid.UUID) -> HttpResponse:
    return _act(request, staff, pk, lambda session: readings.review(session, staff))


def _act(
    request: HttpRequest, staff: User, pk: uuid.UUID, act: Callable[[StaffSession], object]
) -> HttpResponse:
    try:
        act(_found(staff, pk))
    except Refused as refused:
        messages.warning(request, str(REFUSALS[refused.code]))
    else:
        messages.success(request, _("Done, and noted."))
    return redirect("staff_readings")


def _index(request: HttpRequest, staff: User, form: RequestForm, status: int = 200) -> HttpResponse:
    now = clock.now()
    glass = _about_others(staff).filter(case=None)
    waiting = glass.filter(approved_at=None, created_at__gt=now - readings.APPROVE_WITHIN)
    flagged = _about_others(staff).filter(flagged=True, reviewed_by=None, messages_read__gt=0)
    context = {
        "form": form,
        "waiting": [(row, readings.open_reason(row)) for row in waiting.exclude(staff=staff)[:LISTED]],
        "asked": waiting.filter(staff=staff)[:LISTED],
        "live": _live(glass.filter(staff=staff), now),
        "flagged": [(row, readings.open_reason(row)) for row in flagged.exclude(staff=staff)[:LISTED]]
        if staff.role == User.Role.OPERATOR
        else None,
    }
    return _page(request, "index", context, status)


def _live(rows: QuerySet[StaffSession], now: dt.datetime) -> QuerySet[StaffSession]:
    return rows.filter(approved_at__isnull=False, expires_at__gt=now)


def _about_others(staff: User) -> QuerySet[StaffSession]:
    """Nobody of the staff learns here that they themselves are read."""
    rows = StaffSession.objects.exclude(subject=staff).select_related(
        "staff", "subject", "case", "approved_by"
    )
    return rows.order_by("created_at")


def _found(staff: User, pk: uuid.UUID) -> StaffSession:
    return get_object_or_404(_about_others(staff), pk=pk)


def _conversation(wanted: uuid.UUID) -> Conversation | None:
    rows = Conversation.objects.select_related("user")
    message = Message.objects.filter(public_id=wanted).values("conversation")
    return rows.filter(public_id=wanted).first() or rows.filter(pk__in=message).first()


def _page(request: HttpRequest, name: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    frame = {**admin.site.each_context(request), "title": _("Readings"), "staff": request.user}
    return render(request, f"console/readings/{name}.html", frame | context, status=status)
