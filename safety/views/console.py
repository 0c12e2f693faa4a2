"""The moderators' console: the live queue and the page of one case. A GET changes nothing here, ever.

What somebody said is shown only to whoever opened the conversation by an act of theirs (console_acts.open_case), which is
noted; the queue and a page that was not opened carry ids, codes and times.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import translation

from accounts import keyring
from accounts.models import User
from companion import case_window, takeover
from companion.models import Conversation, Message
from safety import canned, case_card, case_work, cases, clock, readings
from safety.models import CaseNote, CrisisCase, StaffSession
from safety.resources import help_lines
from safety.views import console_reading as reading
from safety.views import console_words as words
from safety.views.console_door import door, find

# Milliseconds: while somebody severe calls, and else. The slow one leaves room in the 5 s of a first notice.
FAST_POLL, POLL = 1500, 3000


@door("GET")
def queue(request: HttpRequest, staff: User) -> HttpResponse:
    """The whole page; its live part is renewed by `live`."""
    board = reading.board(staff, clock.now())
    return render(request, "console/queue.html", _frame(staff, board))


@door("GET")
def live(request: HttpRequest, staff: User) -> HttpResponse:
    """The live part alone. 304 while nothing but the seconds has changed. `?strip`: what the page of a case shows of it."""
    board = reading.board(staff, clock.now())
    strip = "strip" in request.GET
    case = request.GET.get("strip", "")
    tag = board.etag(staff)
    if request.headers.get("If-None-Match") == tag:
        return _unchanged(tag)
    template = "console/_strip.html" if strip else "console/_queue.html"
    return _fragment(template, {**_frame(staff, board), "here": case}, tag)


@door("GET")
def case_page(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """One case. Without an opened conversation: what the queue knows, and the button that opens it."""
    return render_case(request, staff, find(pk, staff))


@door("GET")
def window(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """The conversation, as long as the right to read it lasts; 410 when it is over."""
    case, now = find(pk, staff), clock.now()
    session = opened(case, staff, now)
    if session is None:
        return HttpResponse(status=410)
    tag = _window_tag(session)
    if request.headers.get("If-None-Match") == tag:
        return _unchanged(tag)
    try:
        context = {"lines": case_window.lines(session, now), "session": session}
    except readings.Refused:
        return HttpResponse(status=410)
    return _fragment("console/_window.html", context, tag)


@door("GET")
def facts(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """State, clocks, contacts, checklist and record of a case."""
    case, now = find(pk, staff), clock.now()
    context = _facts(staff, case, now)
    tag = _facts_tag(staff, context)
    if request.headers.get("If-None-Match") == tag:
        return _unchanged(tag)
    return _fragment("console/_facts.html", context, tag)


def render_case(
    request: HttpRequest,
    staff: User,
    case: CrisisCase,
    *,
    draft: str = "",
    findings: Sequence[str] = (),
    status: int = 200,
) -> HttpResponse:
    """The page of a case; with a draft that was not sent and why."""
    now = clock.now()
    context = _frame(staff, reading.board(staff, now)) | _facts(staff, case, now)
    session: StaffSession | None = context["session"]
    if session is not None:
        try:
            context["lines"] = case_window.lines(session, now)
        except readings.Refused:  # over in this moment
            context["session"] = None
    language = case.user.language
    context |= {
        "here": str(case.pk),
        "language": language,
        "canned": canned.replies(language, category=case.category, age=context["row"].band or "adult"),
        "phases": words.PHASES,
        "blank_words": words.BLANKS,
        "fill_ins": _fill_ins(language),
        "draft": draft or _chosen(request, language),
        "findings": findings,
        "client_id": uuid.uuid4(),
        "notes": _notes(case) if context["session"] else (),
        "note_least": takeover.NOTE_LEAST,
        "note_max": case_work.NOTE_MAX,
        "reasons": CrisisCase.CloseReason.choices,
        "outcomes": CrisisCase.Outcome.choices,
        "withhold": words.WITHHOLD.items(),
        "colleagues": [
            load for load in context["board"].team if load.present and load.staff.pk != case.holder_id
        ],
    }
    return render(request, "console/case.html", context, status=status)


def opened(case: CrisisCase, staff: User, now: dt.datetime) -> StaffSession | None:
    """The right to read that this human has by an act of theirs, if it still lasts.

    When the person turns to another conversation, that one has to be opened: what is written goes there.
    """
    rows = StaffSession.objects.filter(
        case=case, staff=staff, conversation=case.conversation, expires_at__gt=now
    )
    return rows.select_related("staff", "subject").order_by("-created_at").first()


def _facts(staff: User, case: CrisisCase, now: dt.datetime) -> dict[str, Any]:
    """What a page shows of a case besides the conversation. Names of people near only to whoever opened it."""
    row = reading.rows([case], staff, now)[0]
    session = opened(case, staff, now)
    mine = case.state == cases.State.IN_CARE and case.holder_id == staff.pk
    operator = staff.role == User.Role.OPERATOR
    events = list(case.events.order_by("-pk")[:40])
    people = {str(user.pk): user.nickname for user in User.objects.filter(pk__in=_actors(events))}
    return {
        "case": case,
        "row": row,
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "staff": staff,
        "session": session,
        "mine": mine,
        "may_end": mine or (operator and case.state == cases.State.IN_CARE),
        "open": case.state != cases.State.CLOSED,
        "near": case_card.near(case) if session else (),
        "elsewhere": reading.elsewhere(case),
        "checks": [
            (check, people.get(str(check.done_by), ""), people.get(str(check.confirmed_by), ""))
            for check in case_work.checks(case)
        ],
        "record": [(event, words.EVENTS.get(event.kind), _actor(event, people)) for event in events],
        "needs_second_look": case.closed_at is not None and case.level >= 4 and case.second_at is None,
        "answers": words.ANSWERS,
        "clock_words": words.CLOCKS,
        "deliveries": words.DELIVERIES,
        "page_state": f"{case.state}:{case.holder_id}:{bool(session)}",
    }


def _actors(events: Sequence[Any]) -> set[Any]:
    return {event.actor for event in events if event.actor is not None}


def _actor(event: Any, people: dict[str, str]) -> str:
    return people.get(str(event.actor), "") if event.actor else ""


def _notes(case: CrisisCase) -> list[tuple[CaseNote, str]]:
    found = []
    for note in case.notes.select_related("author").order_by("pk"):
        try:
            found.append((note, note.open(case.user_id)))
        except keyring.KeyringError:  # one damaged row must not hide the others
            found.append((note, case_window.UNREADABLE))
    return found


def _fill_ins(language: str) -> dict[str, list[str]]:
    """What can stand in the blanks of a reviewed reply, in the person's language."""
    country = settings.HELP_LINES_COUNTRIES[0]
    with translation.override(language):
        lines = [(line.name, line.number, line.kinds) for line in help_lines(country) if line.number]
    urgent = frozenset({"medical", "police", "fire"})
    return {
        "line": [f"{name} {number}" for name, number, kinds in lines if not kinds <= urgent],
        "emergency": [number for name, number, kinds in lines if kinds & urgent and len(number) <= 3],
    }


def _chosen(request: HttpRequest, language: str) -> str:
    """Without JavaScript a reviewed reply is chosen by an address."""
    code = request.GET.get("canned", "")
    return next((one.text for one in canned.replies(language) if one.code == code), "")


def _frame(staff: User, board: reading.Board) -> dict[str, Any]:
    """What every part of the console needs."""
    return {
        "staff": staff,
        "board": board,
        "now_ms": int(board.now.timestamp() * 1000),
        "operator": staff.role == User.Role.OPERATOR,
        "alert_words": words.ALERTS,
        "clock_words": words.CLOCKS,
        "poll_ms": POLL,
        "fast_ms": FAST_POLL,
    }


def _fragment(template: str, context: dict[str, Any], tag: str) -> HttpResponse:
    """Without the context of whole pages: it is asked for all the time. Forms stand outside of it, with their token."""
    response = HttpResponse(render_to_string(template, context))
    response["ETag"] = tag
    return response


def _unchanged(tag: str) -> HttpResponse:
    response = HttpResponse(status=304)
    response["ETag"] = tag
    return response


def _window_tag(session: StaffSession) -> str:
    """Changes with every message and signal, without opening one."""
    talk = Conversation.objects.filter(public_id=session.conversation).first()
    newest = Message.objects.filter(conversation=talk).order_by("-pk") if talk else Message.objects.none()
    signals = session.case.signals.count() if session.case else 0
    return reading.etag((session.pk, list(newest.values_list("pk", "state")[:40]), signals))


def _facts_tag(staff: User, context: dict[str, Any]) -> str:
    row: reading.Row = context["row"]
    newest = context["record"][0][0].pk if context["record"] else 0
    sent = list(row.case.deliveries.values_list("pk", F("state")))
    return reading.etag((staff.pk, staff.language, row.key(), newest, context["page_state"], sent))
