"""What people see of reports, complaints, appeals and measures. All of it works without JavaScript and while suspended."""

import uuid
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import keyring, ratelimit
from accounts.models import User
from companion import personas, portrayal, rulings
from companion.events import message_html
from companion.models import Message, Persona
from guardians.limits import effective_policy
from safety import age_reviews, clock, complaints, moderation, sanctions
from safety.models import Appeal, Complaint, Lane, Report, Sanction
from safety.moderation import NotPossible
from safety.views.moderation_forms import AppealForm, ComplaintForm, GuardianAppealForm, ReportForm

REPORTS_AT_ONCE = 30  # enough for somebody who reports a whole evening; not for a script


# --- reports ------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def report_new(request: HttpRequest) -> HttpResponse:
    """Report one reply of one's own conversations, or a companion that one can see."""
    user = _user(request)
    target, shown = _target(request, user)
    form = ReportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if not ratelimit.allow(f"report:{user.pk}", rate=1 / 30, burst=REPORTS_AT_ONCE):
            form.add_error(None, _("That was a lot at once. Please wait a moment and send it again."))
            return _private(
                render(request, "moderation/report_new.html", {"form": form, **shown}, status=429)
            )
        row = moderation.report(
            user,
            **target,
            reason=Report.Reason(form.cleaned_data["reason"]),
            comment=form.cleaned_data["comment"],
            now=clock.now(),
        )
        messages.success(
            request,
            _(
                "Thank you. Your report has the number %(number)s. Somebody of the team looks at it by %(when)s."
            )
            % {"number": row.number, "when": _when(row.due_at)},
        )
        return redirect("tickets")
    return _private(render(request, "moderation/report_new.html", {"form": form, **shown}))


@login_required
@require_safe
def tickets(request: HttpRequest) -> HttpResponse:
    """One's own reports and appeals, the newest first."""
    user, now = _user(request), timezone.now()
    listed = []
    for report in Report.objects.filter(reporter=user).order_by("-id")[:50]:
        objection = rulings.ground(user, Appeal.Subject.REPORT, report.public_id, now)
        listed.append(
            {
                "row": report,
                "what": report.get_kind_display(),
                "decision": report.outcome,
                "appeal": Appeal.Subject.REPORT if objection and not _looked_at_twice(user, report) else "",
            }
        )
    own_appeals = [
        {
            "row": row,
            "what": row.get_subject_display(),
            "decision": row.outcome,
            "reason": row.get_reason_display() if row.reason else "",
            "answer": _opened(row),
        }
        for row in Appeal.objects.filter(person=user).order_by("-id")[:50]
    ]
    return _private(render(request, "moderation/tickets.html", {"reports": listed, "appeals": own_appeals}))


def _looked_at_twice(user: User, report: Report) -> bool:
    return Appeal.objects.filter(
        person=user, subject=Appeal.Subject.REPORT, subject_id=report.public_id
    ).exists()


def _target(request: HttpRequest, user: User) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is reported, for the core and for the page. Raises Http404 for what this person cannot see."""
    language = get_language() or "en"
    if "message" in request.GET:
        message = (
            Message.objects.filter(
                public_id=_uuid(request.GET["message"]),
                author=Message.Author.AI,
                conversation__user=user,
            )
            .select_related("conversation__persona")
            .first()
        )
        if message is None:
            raise Http404
        conversation = message.conversation
        target = {
            "kind": Report.Kind.MESSAGE,
            "target": message.public_id,
            "persona": conversation.persona.public_id,
            "conversation": conversation.public_id,
        }
        return target, {
            "persona": portrayal.face(conversation.persona, language),
            "reply": message_html(message, user.pk, language),
            "conversation": conversation.public_id,
        }
    persona = Persona.objects.filter(public_id=_uuid(request.GET.get("companion", ""))).first()
    if persona is None or not personas.may_see(effective_policy(user, timezone.now()), persona):
        raise Http404
    target = {
        "kind": Report.Kind.PERSONA,
        "target": persona.public_id,
        "persona": persona.public_id,
        "conversation": None,
    }
    return target, {"persona": portrayal.face(persona, language)}


# --- complaints ---------------------------------------------------------------------------------------------


@require_safe
def complaints_page(request: HttpRequest) -> HttpResponse:
    """How complaints go, within what time, and how long they really take. For everybody."""
    medians = complaints.medians(timezone.now())
    kinds = [(lane.value, lane.label) for lane in Lane] + [("appeal", _("Appeals"))]
    rows = [
        {"label": label, "hours": moderation.hours(kind), "median": medians.get(kind)}
        for kind, label in kinds
    ]
    context = {"rows": rows, "least": complaints.MEDIAN_FROM, "age_days": age_reviews.days()}
    return render(request, "moderation/complaints.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def complaint_new(request: HttpRequest) -> HttpResponse:
    """For everybody, without an account."""
    form = ComplaintForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        if complaints.may_file(_address(request)):
            row = complaints.file(
                category=Complaint.Category(form.cleaned_data["category"]),
                text=form.cleaned_data["text"],
                email=form.cleaned_data["email"],
                person=request.user if isinstance(request.user, User) else None,
                now=clock.now(),
            )
            messages.success(request, _("Thank you. Your complaint is with us. Please note its number."))
            return redirect("complaint", row.number)
        form.add_error(
            None, _("Several complaints came from your connection just now. Please try again later.")
        )
        status = 429
    return _private(render(request, "moderation/complaint_new.html", {"form": form}, status=status))


@require_safe
def complaint_find(request: HttpRequest) -> HttpResponse:
    """The number from the form becomes an address."""
    if not complaints.may_look(_address(request)):
        return _private(render(request, "429.html", status=429))
    row = complaints.find(request.GET.get("number", ""))
    if row is None:
        messages.warning(request, _("There is no complaint with this number. Please check it."))
        return redirect("complaints")
    return redirect("complaint", row.number)


@require_safe
def complaint(request: HttpRequest, ticket: str) -> HttpResponse:
    """Where a complaint stands: whoever knows its number may look, so the text itself is not shown."""
    if not complaints.may_look(_address(request)):
        return _private(render(request, "429.html", status=429))
    row = complaints.find(ticket)
    if row is None:
        raise Http404
    try:
        answer = keyring.open_secret(row.answer) if row.answer else ""
    except keyring.KeyringError:
        answer = ""
    context = {"row": row, "answer": answer, "late": row.state == "open" and row.due_at < timezone.now()}
    return _private(render(request, "moderation/complaint.html", context))


# --- appeals and measures -----------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def appeal_new(request: HttpRequest) -> HttpResponse:
    """Object to a decision about oneself."""
    user = _user(request)
    try:
        subject = Appeal.Subject(request.GET.get("about", ""))
    except ValueError:
        raise Http404 from None
    own = subject in (Appeal.Subject.AGE, Appeal.Subject.DEPENDENCE)
    subject_id = user.pk if own else _uuid(request.GET.get("id", ""))
    now = clock.now()
    against = rulings.ground(user, subject, subject_id, now)
    if against is None:
        raise Http404
    about_guardian = subject is Appeal.Subject.GUARDIAN
    form = (GuardianAppealForm if about_guardian else AppealForm)(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            said, unsafe = form.cleaned_data["text"], form.cleaned_data.get("unsafe", False)
            row = rulings.file(user, subject, subject_id, said, against, now, unsafe=unsafe)
        except NotPossible:
            messages.warning(request, _("A second person has already looked at this decision."))
        else:
            messages.success(
                request,
                (
                    _("Your appeal has the number %(number)s. A person of our team answers it by %(when)s.")
                    if about_guardian
                    else _(
                        "Your appeal has the number %(number)s. Somebody else than before answers it by %(when)s."
                    )
                )
                % {"number": row.number, "when": _when(row.due_at)},
            )
        return redirect("tickets")
    context = {
        "form": form,
        "subject": subject.label,
        "about_guardian": about_guardian,
        "hours": moderation.hours("appeal"),
    }
    return _private(render(request, "moderation/appeal_new.html", context))


@login_required
@require_safe
def measures(request: HttpRequest) -> HttpResponse:
    """What holds against this account, why, until when, what still works, and how to object."""
    user, now = _user(request), timezone.now()
    rows = []
    in_force = sanctions.all_in_force(user.pk, now)
    for row in in_force:
        known = row.reason in sanctions.Reason.values
        mine = Appeal.objects.filter(
            person=user, subject=Appeal.Subject.SANCTION, subject_id=row.pk
        ).order_by("-id")
        rows.append(
            {
                "row": row,
                "reason": sanctions.Reason(row.reason).label if known else _("A breach of the terms."),
                "closed": [each.label for each in Sanction.Function if sanctions.closes(row, each)],
                "appeal": mine.first(),
            }
        )
    context = {
        "measures": rows,
        "chat_closed": any(map(sanctions.blocks_chat, in_force)),
        "hours": moderation.hours("appeal"),
    }
    return _private(render(request, "moderation/measures.html", context))


def _opened(row: Appeal) -> str:
    """Empty when the text does not open any more: the page then goes without instead of failing."""
    try:
        return row.open("answer")
    except keyring.KeyringError:
        return ""


def _address(request: HttpRequest) -> str:
    return str(get_adapter().get_client_ip(request))


def _when(at: Any) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def _uuid(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError:
        raise Http404 from None


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # behind login_required
    return request.user


def _private(response: HttpResponse) -> HttpResponse:
    """The back button of a shared computer must not show it after logout."""
    response["Cache-Control"] = "no-store"
    return response
