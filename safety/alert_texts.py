"""The texts of notices: what guardians, contacts, staff and the people on call read (data/alerts.toml).

A notice says that somebody needs them, how soon, what was done, what to say and whom to call. It never holds what the
person wrote, their address or their companion, and its subject and short form name no topic: phones are shared.
What it says about the case is read when it is composed, so that a late notice is still true.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.core import get_global
from babel.numbers import format_currency
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import translation

from accounts.models import User
from safety import clock, resources
from safety.models import CareNotice, CrisisCase, Delivery, OperationsAlert
from safety.operations import CODES
from safety.recipients import Reach

TEMPLATES: Final = frozenset({"staff", "near", "safeguarding", "operations", "canary", "care"})
SHORT_AT_MOST: Final = {"zh": 70, "en": 160}  # characters of one text message
_FILE: Final = Path(__file__).parent / "data" / "alerts.toml"
_LINES: Final = 5
# Category → kinds of help lines, the fitting ones first.
_KINDS: Final = {
    "self_harm": ("crisis",),
    "abuse": ("abuse",),
    "medical": ("medical",),
    "property_loss": ("fraud", "crisis"),
    "other": ("crisis",),
}
_PLAIN_NAME: Final = re.compile(r"[^\W\d_]+(?:[ ·'’-][^\W\d_]+)*")
_TOPIC: Final = re.compile(r"suicid|kill|\bdie\b|dead|death|harm|死|自杀|自残|自伤|轻生|杀", re.IGNORECASE)
State, DeliveryState = CrisisCase.State, Delivery.State


@dataclass(frozen=True)
class Block:
    """A heading with its lines. `url` ends the block where there is something to open."""

    lines: Sequence[str]
    title: str = ""
    url: str = ""


@dataclass(frozen=True)
class Notice:
    """`short` fits one text message or push notice; `url` is the page to open, if there is one.

    A text message to a contact outside of a case ends with that page's address, and may need two.
    """

    subject: str
    text: str
    html: str
    short: str
    url: str = ""


def compose(delivery: Delivery, reach: Reach, *, link: str = "") -> Notice:
    """The notice of a row of the outbox in the recipient's language. `link`: the page where they can answer."""
    if delivery.template not in TEMPLATES:
        raise ValueError(f"unknown template {delivery.template!r}")
    language = "zh" if reach.language.lower().startswith("zh") else "en"
    if delivery.template == "operations":
        subject, short, blocks = _operations(delivery.alert, language)
    elif delivery.template == "care":
        subject, short, blocks = _care(delivery, language, link)
    elif delivery.case_id is None:
        raise ValueError("a notice about nobody")
    else:
        case = CrisisCase.objects.select_related("user").get(pk=delivery.case_id)
        if delivery.template == "near":
            subject, short, blocks = _near(case, delivery, language, link)
        elif delivery.template == "canary":
            names = {"number": case.number, "delivery": delivery.pk}
            subject, short = (say(f"canary.{part}", language, **names) for part in ("subject", "short"))
            blocks = [Block([say("canary.body", language)])]
        else:
            subject, short, blocks = _staff(case, delivery, language, link)
    with translation.override("zh-hans" if language == "zh" else "en"):
        html = render_to_string("emails/alert.html", {"subject": subject, "blocks": blocks})
    url = next((block.url for block in blocks if block.url), "")
    if delivery.template == "operations":
        url = _console(None)
    return Notice(subject, _plain(blocks), html, short, url)


def say(code: str, language: str, /, **blanks: object) -> str:
    """The text of a code in "zh" or "en"."""
    return raw(code, language).format(**blanks)


def raw(code: str, language: str) -> str:
    """As it was reviewed, with its blanks."""
    return _texts()[code][language]


def codes() -> frozenset[str]:
    """Every code there is."""
    return frozenset(_texts())


def name_of(user: User) -> str:
    """The nickname where it is only a name: it is the one thing in a notice that somebody typed."""
    name = user.nickname.strip()
    return name if len(name) <= 20 and _PLAIN_NAME.fullmatch(name) and not _TOPIC.search(name) else ""


def country_of(user: User) -> str:
    """The country whose numbers fit: that of the person's clock, else the first that the operator serves."""
    home = get_global("zone_territories").get(user.time_zone, "")
    return str(home if home not in ("", "001") else (settings.HELP_LINES_COUNTRIES or [""])[0])


def _near(case: CrisisCase, delivery: Delivery, language: str, link: str) -> tuple[str, str, Sequence[Block]]:
    kind = delivery.recipient.partition(":")[0]
    role = "contact" if kind == "contact" else "guardian"
    level, about = delivery.level, case.category
    whom = say(f"near.whom.{role}", language)
    who = _with_name(whom, case.user, language)

    def text(code: str, **blanks: object) -> str:
        return say(f"near.{code}", language, **blanks)

    short = text(f"short.{level}", who=who, number=case.number)
    if len(short) > SHORT_AT_MOST[language]:
        short = text(f"short.{level}", who=whom, number=case.number)
    answer = [Block([text("answer")], text("title.answer"), link)] if link else []
    blocks = [
        Block(
            [
                text(f"level.{level}"),
                text(f"about.{about}", time=_time(case.opened_at, case.user, language)),
                text("no_words"),
            ],
            text("title.who", who=who),
        ),
        Block([text(f"done.{_progress(case)}")], text("title.done")),
        Block(text(f"say.{about}").splitlines(), text("title.say")),
        Block([text(f"avoid.{about}")], text("title.avoid")),
        Block([text("help"), *_help(case, language)], text("title.help")),
        *answer,
        Block(
            [
                text(f"why.{kind if kind in ('contact', 'link') else 'guardian'}"),
                *_refusal(kind, language),
            ],
            text("title.why"),
        ),
    ]
    return text(f"subject.{level}", number=case.number), short, blocks


def _refusal(kind: str, language: str) -> list[str]:
    if kind == "contact":  # at the foot of the page that the notice leads to
        return [say("near.refuse.contact", language)]
    if kind != "link":
        return []
    if settings.OPERATOR_CONTACT:
        return [say("near.refuse.operator", language, operator=settings.OPERATOR_CONTACT)]
    return [say("near.refuse.person", language)]


def _help(case: CrisisCase, language: str) -> list[str]:
    """The fitting lines of the person's country, one a line. Names that say the topic become neutral."""
    found: list[resources.HelpLine] = []
    for kind in _KINDS[case.category]:
        lines = resources.help_lines(country_of(case.user), kind=kind)
        lines.sort(key=lambda line: line.kinds != {kind})  # one that is for nothing else comes first
        found += [line for line in lines if line not in found]
    spoken = []
    with translation.override("zh-hans" if language == "zh" else "en"):
        for line in found[:_LINES]:
            name = say("near.line", language) if _TOPIC.search(line.name) else line.name
            spoken.append(f"{line.number or line.text} {name}".strip())
    return spoken


def _staff(
    case: CrisisCase, delivery: Delivery, language: str, link: str
) -> tuple[str, str, Sequence[Block]]:
    template, now = delivery.template, clock.now()
    level = say(f"staff.level.{case.level}", language)
    names = {"number": case.number, "level": level}
    lines = [
        f"{case.number} · {level}",
        say("staff.category_line", language, category=say(f"staff.category.{case.category}", language)),
        say(
            "staff.opened",
            language,
            time=_time(case.opened_at, None, language),
            minutes=max(0, int((now - case.opened_at).total_seconds() // 60)),
        ),
        say(f"staff.state.{_STAFF_STATE.get(_progress(case), _progress(case))}", language),
    ]
    if case.climb_due_at is not None:
        lines.append(say("staff.next", language, time=_time(case.climb_due_at, None, language)))
    if case.contact_due_at is not None:
        lines.append(say("staff.contact", language, time=_time(case.contact_due_at, None, language)))
    blocks = [Block(lines)]
    if template == "safeguarding":
        blocks.append(Block([say("safeguarding.body", language)]))
    blocks.append(Block([], say("staff.title.console", language), link or _console(case)))
    return say(f"{template}.subject", language, **names), say(f"{template}.short", language, **names), blocks


_STAFF_STATE: Final = {"nobody": "told"}


def _care(delivery: Delivery, language: str, link: str) -> tuple[str, str, Sequence[Block]]:
    notice = delivery.care
    if notice is None:
        raise ValueError("a notice of care without its row")
    role = "contact" if delivery.recipient.startswith("contact:") else "guardian"
    whom = say(f"care.whom.{role}", language)
    names = {"who": _with_name(whom, notice.user, language), **_figures(notice, language)}

    def text(part: str) -> str:
        change = f"care.{notice.kind}.{part}.{notice.data.get('change', '')}"
        return say(change if change in _texts() else f"care.{notice.kind}.{part}", language, **names)

    short = text("short")
    if len(short) > SHORT_AT_MOST[language]:
        names["who"] = whom
        short = text("short")
    if role == "contact" and delivery.channel == Delivery.Channel.SMS:  # there is no other way to the page
        short = f"{short} {link}".strip()
    blocks = [
        Block(text("body").splitlines(), text("subject")),
        Block([say("care.open", language)], say("care.title.open", language), link),
        Block([say(f"care.why.{role}", language)], say("near.title.why", language)),
    ]
    return text("subject"), short, blocks


def _figures(notice: CareNotice, language: str) -> dict[str, object]:
    if notice.kind != CareNotice.Kind.SPENDING:
        return dict(notice.data)
    money = format_currency(notice.data["amount"], notice.data["currency"], locale=language)
    return {**notice.data, "amount": money}


def _with_name(whom: str, user: User, language: str) -> str:
    name = name_of(user)
    return (f"{whom}（{name}）" if language == "zh" else f"{whom} ({name})") if name else whom


def _operations(alert: OperationsAlert | None, language: str) -> tuple[str, str, Sequence[Block]]:
    if alert is None:
        raise ValueError("an operations notice without its alert")
    code = f"operations.code.{alert.code if alert.code in CODES else 'other'}"
    names: dict[str, object] = {
        "code": alert.code,
        "subject": alert.subject or "–",
        "count": alert.count,
        "time": _time(alert.opened_at, None, language),
    }
    lines = [
        say(code if code in _texts() else "operations.code.other", language),
        say("operations.since", language, **names),
        say("operations.manual", language, **names),
    ]
    short = say("operations.short", language, **names)
    if len(short) > SHORT_AT_MOST[language]:
        short = say("operations.short", language, **{**names, "subject": "…"})
    return say("operations.subject", language, **names), short, [Block(lines)]


def _progress(case: CrisisCase) -> str:
    """What humans have done so far: nobody, told, seen, in_care, handed_back, closed."""
    if case.state in (State.IN_CARE, State.CLOSED):
        return str(case.state)
    if case.state == State.ACKNOWLEDGED:
        return "handed_back" if case.handed_back_at else "seen"
    handed_over = (DeliveryState.ACCEPTED, DeliveryState.CONFIRMED)
    told = case.deliveries.filter(template="staff", state__in=handed_over).exists()
    return "told" if told else "nobody"


def _time(at: dt.datetime, person: User | None, language: str) -> str:
    """On the person's clock, or on the service's for staff; with the zone, because readers may live elsewhere."""
    zone = person.time_zone if person else settings.TIME_ZONE
    local = at.astimezone(ZoneInfo(zone))
    if language == "zh":
        return f"{local.month}月{local.day}日 {local:%H:%M}（{zone}）"
    return f"{local:%H:%M} on {local.day} {local:%B} ({zone})"


def _console(case: CrisisCase | None) -> str:
    try:
        path = reverse("console_case", args=[case.pk]) if case else reverse("console")
    except NoReverseMatch:  # an installation without the console pages still sends a way in
        path = "/"
    return f"{settings.SITE_URL}{path}"


def _plain(blocks: Sequence[Block]) -> str:
    parts = ["\n".join(part for part in (block.title, *block.lines, block.url) if part) for block in blocks]
    return "\n\n".join(parts) + "\n"


@cache
def _texts() -> dict[str, dict[str, str]]:
    with _FILE.open("rb") as file:
        found = tomllib.load(file)
    texts: dict[str, dict[str, str]] = {}

    def walk(place: str, entry: dict[str, Any]) -> None:
        if isinstance(entry.get("zh"), str):
            texts[place] = {"zh": entry["zh"], "en": entry["en"]}
        for name, below in entry.items():
            if isinstance(below, dict):
                walk(f"{place}.{name}" if place else name, below)

    walk("", found)
    return texts
