"""Frames of the chat socket: typed dictionaries with a literal `kind`, documented in docs/protocol.md.

Durable frames are built from event rows and the messages they name, so a replay gives what was given live.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, NotRequired, TypedDict

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import SafeString

from accounts.keyring import KeyringError
from accounts.models import Event, User
from accounts.realtime import NewEvent
from companion import markdown, notices, sentences
from companion.models import Message
from companion.notices import Pending
from companion.usage import Standing
from safety import replies
from safety.resources import help_lines

log = logging.getLogger(__name__)

ELSEWHERE = frozenset({"alert.raised"})  # events for the console, not for a chat


class MessageFrame(TypedDict):
    """A message as the page shows it; `html` is safe and in the reader's language."""

    id: str
    client_id: str | None
    author: str
    state: str
    code: str
    html: str
    note: str  # why the reply did not end by itself; "" for an ordinary one
    name: str  # of the human who wrote it; "" for everybody else
    at: str
    ai_generated: bool


class NoticeFrame(TypedDict):
    """A notice that waits for its answer; `html` is the inside of its dialog."""

    notice: str
    about: str
    html: str


class UsageFrame(TypedDict):
    """How much time is left: minutes until the daily limit (None without one), and until when the companion rests."""

    minutes_left: int | None
    quiet_until: str | None


class Ready(TypedDict):
    kind: Literal["ready"]
    conversation: str
    event: int
    state: Literal["open", "left", "human"]
    notices: list["NoticeFrame"]
    usage: "UsageFrame"
    reply: dict[str, str] | None


class MessageCreated(TypedDict):
    kind: Literal["message.created"]
    event: int
    message: MessageFrame


class ReplyStarted(TypedDict):
    kind: Literal["reply.started"]
    event: int
    message: MessageFrame


class ReplyDelta(TypedDict):
    """Ephemeral. `offset` is the number of characters shown before `text`; a gap means: wait for the finished frame."""

    kind: Literal["reply.delta"]
    message: str
    offset: int
    text: str
    ai_generated: Literal[True]


class ReplySnapshot(TypedDict):
    kind: Literal["reply.snapshot"]
    message: str
    text: str
    ai_generated: Literal[True]


class ReplyFinished(TypedDict):
    kind: Literal["reply.finished"]
    event: int
    message: MessageFrame


class ReplyReplaced(TypedDict):
    kind: Literal["reply.replaced"]
    event: int
    message: str


class HelpCard(TypedDict):
    kind: Literal["help.card"]
    event: int
    level: Literal["soft", "urgent"]
    html: str


class ConversationLeft(TypedDict):
    kind: Literal["conversation.left"]
    event: int


class ConversationReturned(TypedDict):
    kind: Literal["conversation.returned"]
    event: int


class ConversationHuman(TypedDict):
    kind: Literal["conversation.human"]
    event: int
    in_charge: bool
    name: str


class Usage(UsageFrame):
    """Ephemeral; the answer to `here`."""

    kind: Literal["usage"]


class NoticeRaised(NoticeFrame):
    kind: Literal["notice.raised"]
    event: int


class NoticeAcknowledged(TypedDict):
    kind: Literal["notice.acknowledged"]
    event: int
    notice: str


class PolicyChanged(TypedDict):
    kind: Literal["policy.changed"]
    event: int
    voice: bool  # what is said aloud is taken


class Refused(TypedDict):
    kind: Literal["refused"]
    id: str | None
    code: str
    text: str
    link: NotRequired[dict[str, str]]


class Error(TypedDict):
    kind: Literal["error"]
    code: str
    text: str
    id: str | None


class Reload(TypedDict):
    """What the page shows is gone, or it is further behind than the replay reaches: load it anew."""

    kind: Literal["reload"]


class Pong(TypedDict):
    kind: Literal["pong"]


FRAMES: tuple[type, ...] = (
    Ready,
    MessageCreated,
    ReplyStarted,
    ReplyDelta,
    ReplySnapshot,
    ReplyFinished,
    ReplyReplaced,
    HelpCard,
    ConversationLeft,
    ConversationReturned,
    ConversationHuman,
    NoticeRaised,
    NoticeAcknowledged,
    Usage,
    PolicyChanged,
    Refused,
    Error,
    Reload,
    Pong,
)


def message_frame(message: Message, user_id: uuid.UUID, language: str) -> MessageFrame:
    """The one place where an AI message gets its label (LABEL article 4, GB 45438 section 6)."""
    return {
        "id": str(message.public_id),
        "client_id": str(message.client_id) if message.client_id else None,
        "author": message.author,
        "state": message.state,
        "code": message.code,
        "html": message_html(message, user_id, language),
        "note": message_note(message, language),
        "name": staff_name(message.staff_id),
        "at": message.created_at.isoformat(),
        "ai_generated": message.author == Message.Author.AI,
    }


def message_html(message: Message, user_id: uuid.UUID, language: str) -> str:
    """Safe HTML of a message; a system line is a reviewed sentence in the reader's language."""
    if message.author == Message.Author.SYSTEM:
        return markdown.plain(sentences.system_line(message.code, language))
    try:
        text = message.open(user_id)
    except KeyringError:  # one damaged row must not close the whole conversation
        log.error("message %s does not open", message.public_id)
        text = "[…]"
    return markdown.render(text) if message.author == Message.Author.AI else markdown.plain(text)


def staff_name(staff: uuid.UUID | None) -> str:
    """The duty name of a member of staff; "" for nobody, and for one who gave none."""
    if staff is None:
        return ""
    return User.objects.filter(pk=staff).values_list("nickname", flat=True).first() or ""


def message_note(message: Message, language: str) -> str:
    return (
        sentences.note(message.state, message.code, language) if message.author == Message.Author.AI else ""
    )


def frames_of(
    happened: Iterable[NewEvent], messages: Iterable[Message], last: int, user_id: uuid.UUID, language: str
) -> list[dict[str, Any]]:
    """Frames of events just written, the last of which has the number `last`; reads nothing."""
    happened = list(happened)
    by_id = {message.public_id: message for message in messages}
    first = last - len(happened) + 1
    frames = (
        _frame(event.kind, first + i, event.message, event.data or {}, by_id, user_id, language)
        for i, event in enumerate(happened)
    )
    return [frame for frame in frames if frame is not None]


def durable_frames(events: Iterable[Event], user_id: uuid.UUID, language: str) -> list[dict[str, Any]]:
    """Frames of event rows, with their messages read in one query. A message erased since is passed over."""
    events = list(events)
    wanted = {event.message for event in events if event.message}
    messages = {m.public_id: m for m in Message.objects.filter(public_id__in=wanted)} if wanted else {}
    frames = (
        _frame(event.kind, event.seq, event.message, event.data, messages, user_id, language)
        for event in events
    )
    return [frame for frame in frames if frame is not None]


def _frame(
    kind: str,
    seq: int,
    message_id: uuid.UUID | None,
    data: Mapping[str, Any],
    messages: Mapping[uuid.UUID, Message],
    user_id: uuid.UUID,
    language: str,
) -> dict[str, Any] | None:
    """One event as a frame; None when the message it names is no longer there, and for what other pages are told."""
    if kind in ELSEWHERE:
        return None
    if kind == "history.erased":
        return {"kind": "reload"}
    frame: dict[str, Any] = {"kind": kind, "event": seq, **data}
    if kind in ("message.created", "reply.started", "reply.finished"):
        message = messages.get(message_id) if message_id else None
        if message is None:
            return None
        frame["message"] = message_frame(message, user_id, language)
    elif kind == "reply.replaced":
        frame["message"] = str(message_id)
    elif kind == "help.card":
        frame["html"] = help_card_html(data["level"], data["country"], language, data.get("need", "crisis"))
    elif kind == "notice.raised":
        frame["html"] = notices.html(data["about"], language)
    elif kind == "conversation.human":
        staff = frame.pop("staff", None)
        frame["name"] = staff_name(uuid.UUID(staff) if staff else None)
    return frame


def help_card_html(level: str, country: str, language: str, need: str = "crisis") -> SafeString:
    """The help card with call buttons, rendered by the server so that page and socket show the same.

    The lines for this need stand first; `need` is one of the kinds of safety/resources.py.
    """
    return _help_card(level, country, language, need, settings.HELP_LINES_FILE)


@lru_cache(maxsize=64)  # there are few, and in a flood each message shows one
def _help_card(level: str, country: str, language: str, need: str, _file: str) -> SafeString:
    # Of the lines that fit, the one for this alone comes first while it can be asked; afterwards the police.
    asks = need == "fraud" and level == "soft"
    lines = sorted(help_lines(country), key=lambda line: (need not in line.kinds, asks and len(line.kinds)))
    warning = f"warning.{need}_{level}"
    context = {
        "level": level,
        "need": need,
        "lines": lines,
        "warning": replies.sentence(warning, language=language) if warning in replies.codes() else "",
    }
    with translation.override(language):
        return render_to_string("companion/_help_card.html", context)


def notice_frame(notice: Pending, language: str) -> NoticeFrame:
    return {"notice": str(notice.id), "about": notice.kind, "html": notices.html(notice.kind, language)}


def usage_frame(standing: Standing) -> UsageFrame:
    quiet = standing.quiet_until
    return {"minutes_left": standing.minutes_left, "quiet_until": quiet.isoformat() if quiet else None}
