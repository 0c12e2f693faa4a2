"""The chat pages: list, conversation, older messages, leaving without JavaScript, memories."""

import uuid
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import realtime, simple_mode, switches
from accounts.models import Notice, User
from companion import (
    access,
    departures,
    history,
    memory,
    notices,
    personas,
    portrayal,
    replies,
    sentences,
    turns,
    usage,
)
from companion.access import Refusal
from companion.events import help_card_html, notice_frame, staff_name
from companion.models import Conversation, Departure, Message
from companion.personas import NotFound
from guardians.limits import effective_policy
from guardians.views import requests
from safety import cases, risk


def _actor(request: HttpRequest) -> access.Actor:
    assert isinstance(request.user, User)
    try:
        return access.load_actor(request.user.pk, request.session.session_key or "", timezone.now())
    except access.SessionEnded:
        raise Http404 from None


def _conversation(request: HttpRequest, public_id: uuid.UUID) -> Conversation:
    assert isinstance(request.user, User)
    try:
        return access.access_conversation(request.user.pk, public_id)
    except NotFound:
        raise Http404 from None


def _blocked(refusal: Refusal | None, language: str) -> dict[str, Any] | None:
    """A refusal for the page: sentence and the way on."""
    if refusal is None:
        return None
    sentence, label = sentences.refusal(refusal.code, language)
    link = {"url": reverse(refusal.link), "label": label} if refusal.link else None
    return {"code": refusal.code, "text": sentence, "link": link}


@login_required
@require_GET
def chats(request: HttpRequest) -> HttpResponse:
    """The person's conversations, the latest first. No previews: shoulders are near, and labels would be needed."""
    assert isinstance(request.user, User)
    language = request.user.language
    # One index look-up each: an aggregate would read every message of the person.
    newest = Message.objects.filter(conversation=OuterRef("pk")).order_by("-pk").values("created_at")[:1]
    rows = (
        Conversation.objects.filter(user=request.user)
        .select_related("persona")
        .annotate(newest=Subquery(newest))
        .order_by("-newest", "-created_at")
    )
    actor = _actor(request)
    shown = [row for row in rows if not access.hidden(actor, row)]
    listed = [{"conversation": row, "persona": portrayal.face(row.persona, language)} for row in shown]
    return _private(render(request, "companion/chats.html", {"conversations": listed}))


@login_required
@require_GET
def chat(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """One conversation. The newest messages are in the page; the socket continues after `last_event`."""
    return _chat_page(request, _conversation(request, public_id))


@login_required
@require_GET
def older(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The messages before one: a fragment for the page's script, a whole page for a link followed without it."""
    assert isinstance(request.user, User)
    conversation = _conversation(request, public_id)
    if access.hidden(_actor(request), conversation):
        raise Http404
    try:
        before = uuid.UUID(request.GET.get("before", ""))
        page = history.page_before(conversation, request.user.pk, before, request.user.language)
    except (ValueError, NotFound):
        raise Http404 from None
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return _chat_page(request, conversation, page)
    context = {
        "conversation": conversation,
        "persona": portrayal.face(conversation.persona, request.user.language),
        "message_list": page.messages,
        "has_older": page.has_older,
    }
    return _private(render(request, "companion/_messages.html", context))


def _chat_page(
    request: HttpRequest, conversation: Conversation, page: history.Page | None = None
) -> HttpResponse:
    user, actor = cast(User, request.user), _actor(request)
    language = actor.policy.language
    if access.hidden(actor, conversation):  # without its messages, and without the socket
        blocked = _blocked(access.persona_gate(actor.policy, conversation.persona), language)
        shown = {"conversation": conversation, "blocked": blocked}
        return _private(render(request, "companion/chat_hidden.html", shown))
    # Read before the messages: what is replayed may repeat something, but nothing is passed over.
    last_event = realtime.last_event(actor.user_id)
    refusal = None if actor.care.muted else access.account_gate(actor)
    if refusal is None and not actor.care.muted:
        refusal = access.persona_gate(actor.policy, conversation.persona)
    now = timezone.now()
    # While somebody is in danger neither the clock nor a notice stands in their way.
    standing = usage.FREE if actor.care.muted else usage.standing(actor.user_id, actor.policy)
    waiting = [] if actor.care.muted else [notice_frame(notice, language) for notice in actor.notices]
    state = access.state_of(conversation, actor)
    page = page or history.newest_page(conversation, actor.user_id, language)
    reply = replies.current(conversation.public_id)
    card, country = risk.recent_card(actor.user_id, now), settings.HELP_LINES_COUNTRIES[0]
    rests = {code: _blocked(Refusal(code, "use"), language) for code in ("limit", "quiet")}
    context = {
        "conversation": conversation,
        "state": state,
        "persona": portrayal.face(conversation.persona, language),
        "message_list": page.messages,
        "has_older": page.has_older,
        "help_card": help_card_html(card.level, country, language, card.need) if card else "",
        "help_away": help_card_html("soft", country, language),
        "human_name": _in_charge(actor),
        "last_event": last_event,
        "notices": waiting,
        "notice": waiting[0] if waiting and state != "left" else None,
        "usage": standing,
        "time_left": divmod(standing.minutes_left, 60) if standing.minutes_left else None,
        # The sentences in place of the composer, and the one that holds now.
        "rests": rests,
        "resting": None if refusal else rests.get(standing.refusal),
        "has_page": personas.may_see(actor.policy, conversation.persona),
        "voice": actor.policy.choices.voice and not switches.off(switches.Name.VOICE),
        "blocked": _blocked(refusal, language),
        "max_characters": settings.MESSAGE_MAX_CHARACTERS,
        "reply": {"id": str(reply.job.reply.public_id), "text": reply.shown} if reply else None,
        "is_minor": actor.policy.is_minor,
        **(requests.asking(user, now) if actor.policy.is_minor and not actor.care.muted else {}),
    }
    page_of = simple_mode.page_for(request, "companion/chat.html", "simple/chat.html")
    return _private(render(request, page_of, context))


def _in_charge(actor: access.Actor) -> str:
    """The duty name of the human who has taken over; "" when nobody has."""
    case = cases.open_case(actor.user_id) if actor.care.human else None
    return staff_name(case.holder_id) if case else ""


def _private(response: HttpResponse) -> HttpResponse:
    """The back button of a shared computer must not show it after logout."""
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def talk(request: HttpRequest, slug: str) -> HttpResponse:
    """Open the conversation with a companion, or come back to it."""
    actor = _actor(request)
    try:
        conversation = turns.open_conversation(actor, slug)
    except NotFound:
        raise Http404 from None
    except turns.Closed as closed:
        messages.warning(request, sentences.refusal(closed.refusal.code, actor.policy.language)[0])
        return redirect("persona", slug)
    return redirect("chat", conversation.public_id)


@login_required
@require_POST
def leave(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """The exit without JavaScript."""
    try:
        departures.leave(_actor(request), public_id)
    except NotFound:
        raise Http404 from None
    return redirect("chat", public_id)


@login_required
@require_POST
def acknowledge(request: HttpRequest) -> HttpResponse:
    """A notice answered without JavaScript."""
    actor = _actor(request)
    answer = request.POST.get("answer", "understood")
    try:
        conversation = uuid.UUID(request.POST.get("conversation", ""))
        notices.acknowledge(actor.user_id, uuid.UUID(request.POST.get("notice", "")), answer)
        if answer == Notice.Answer.PAUSE:
            departures.leave(actor, conversation, Departure.How.PAUSE)
        return redirect("chat", conversation)
    except (ValueError, NotFound):
        return redirect("gallery")


@login_required
@require_http_methods(["GET", "POST"])
def memories(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """What this companion remembers: to read, add and erase."""
    assert isinstance(request.user, User)
    conversation = _conversation(request, public_id)
    if request.method == "POST":
        _change_memories(request, conversation)
        return redirect("memories", public_id)
    context = {
        "conversation": conversation,
        "persona": portrayal.face(conversation.persona, request.user.language),
        "memories": memory.kept(request.user.pk, conversation.persona_id),
        "max_characters": memory.MAX_CHARACTERS,
        "kept": effective_policy(request.user, timezone.now()).choices.memory,
    }
    return _private(render(request, "companion/memories.html", context))


def _change_memories(request: HttpRequest, conversation: Conversation) -> None:
    assert isinstance(request.user, User)
    if "forget" in request.POST:
        try:
            memory.forget(request.user.pk, uuid.UUID(request.POST["forget"]))
        except ValueError:
            return
        messages.success(request, _("Forgotten."))
        return
    try:
        policy = effective_policy(request.user, timezone.now())
        memory.remember(policy, conversation.persona_id, request.POST.get("text", ""))
        messages.success(request, _("Remembered."))
    except ValueError:
        messages.error(
            request, _("Write between 1 and %(limit)s characters.") % {"limit": memory.MAX_CHARACTERS}
        )
    except memory.MemoryOff:
        messages.warning(request, _("Remembering is turned off by your guardian."))
    except memory.MemoryFull:
        messages.error(request, _("This companion's memory is full. Erase something first."))
