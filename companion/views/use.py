"""Your use: how much time was spent here, what holds, what it is taken for, and what one can do about it.

Works without JavaScript. The chart is drawn here: bars from zero, the day's limit as a line, a table with the same figures.
"""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Notice, User
from companion import charts, dependence, portrayal, reminders, usage
from companion.models import DependenceScore, Persona, UsageSession
from companion.views import use_words
from guardians import limits, own_limits
from guardians.limits import EffectivePolicy, effective_policy
from guardians.own_limits import Own
from safety.models import Appeal

DAYS = 30
LIGHT = 45  # minutes a day of the offered week


class LimitsForm(forms.Form):
    daily_minutes = forms.IntegerField(
        label=_("Minutes a day"),
        help_text=_("Leave it empty for no limit of your own."),
        required=False,
        min_value=1,
        max_value=1440,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    quiet_from = forms.TimeField(
        label=_("Quiet from"), required=False, widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"})
    )
    quiet_until = forms.TimeField(
        label=_("Quiet until"), required=False, widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"})
    )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        begins, ends = data.get("quiet_from"), data.get("quiet_until")
        if not self.errors and (begins is None) != (ends is None):
            self.add_error("quiet_until", _("Quiet hours need a beginning and an end."))
        if begins is not None and begins == ends:
            self.add_error("quiet_until", _("Choose another time for the end."))
        return data

    def wished(self) -> Own:
        data = self.cleaned_data
        quiet = (data["quiet_from"], data["quiet_until"]) if data["quiet_from"] is not None else None
        return Own(data["daily_minutes"], quiet)


@login_required
@require_safe
def use(request: HttpRequest) -> HttpResponse:
    return _page(request, None)


@login_required
@require_POST
def set_limits(request: HttpRequest) -> HttpResponse:
    """Limits for oneself."""
    form = LimitsForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    later = own_limits.set_own(_user(request), form.wished(), timezone.now())
    if later is None:
        messages.success(request, gettext("Saved. It holds from now on."))
    else:
        text = gettext("Saved. What is stricter holds from now on, what is wider from %(when)s on.")
        messages.success(request, text % {"when": _moment(request, later)})
    return redirect("use")


@login_required
@require_POST
def cool_down(request: HttpRequest) -> HttpResponse:
    """One tap: a quiet evening, or a lighter week."""
    user, now = _user(request), timezone.now()
    if request.POST.get("pause") == "evening":
        end = own_limits.quiet_evening(user, now)
        text = gettext("Until %(when)s companions rest. Help and humans stay within reach.")
    elif request.POST.get("pause") == "week":
        end = own_limits.lighter_week(user, LIGHT, now)
        text = gettext("Until %(when)s a day here has at most %(minutes)s minutes.")
    else:
        return redirect("use")
    messages.success(request, text % {"when": _moment(request, end), "minutes": LIGHT})
    return redirect("use")


def _page(request: HttpRequest, form: LimitsForm | None, status: int = 200) -> HttpResponse:
    user, now = _user(request), timezone.now()
    policy = effective_policy(user, now)
    today = now.astimezone(ZoneInfo(policy.zone)).date()
    days = usage.days(user.pk, policy.zone, today - dt.timedelta(days=DAYS - 1), today)
    ahead = own_limits.coming(user, now)
    context = {
        "chart": charts.bars([(day.date, day.minutes) for day in days], policy.daily_minutes, every=7),
        "days": days,
        "total": sum(day.minutes for day in days),
        "used_days": sum(day.minutes > 0 for day in days),
        "today": days[-1],
        "night": sum(day.night for day in days),
        "nights": sum(day.night > 0 for day in days),
        "companions": _companions(days, policy.language),
        "breaks": _breaks(user, now),
        "stretch": _stretch(user, now),
        "standing": usage.standing(user.pk, policy, now),
        "policy": policy,
        "sources": _sources(user, policy, now),
        "ahead": ahead,
        "form": form or LimitsForm(initial=_initial(ahead[1] if ahead else own_limits.own(user, now))),
        "light": LIGHT,
        "judged": _judged(user, policy, now),
    }
    response = render(request, "companion/use.html", context, status=status)
    response["Cache-Control"] = (
        "no-store"  # the back button of a shared computer must not show it after logout
    )
    return response


def _judged(user: User, policy: EffectivePolicy, now: dt.datetime) -> dict[str, Any] | None:
    """The newest judgement of the last days with its reasons in words, and where an objection stands."""
    since = (now - dependence.BOUNDARIES_LAST).date()
    row = DependenceScore.objects.filter(user=user, day__gte=since).order_by("-day").first()
    if row is None:
        return None
    appeal = Appeal.objects.filter(person=user, subject=Appeal.Subject.DEPENDENCE).order_by("-pk").first()
    return {
        "row": row,
        "reasons": use_words.reasons(row.reasons, policy.engine_band),
        "step": use_words.step(row.step),
        "offer": row.step in ("cool_down", "human"),
        "appeal": appeal,
        "objectionable": bool(row.step) and (appeal is None or appeal.state == "decided"),
    }


def _sources(user: User, policy: EffectivePolicy, now: dt.datetime) -> list[dict[str, Any]]:
    """The limits in force and whose they are. Two quiet ranges that are the same are one."""
    return [
        {
            "setter": use_words.setter(each.setter),
            "daily": each.daily_minutes,
            "quiet": dict.fromkeys(each.quiet),
        }
        for each in limits.sources(user, policy.age_band, now)
        if each.daily_minutes is not None or each.quiet
    ]


def _companions(days: list[usage.Day], language: str) -> list[tuple[str, int]]:
    """Minutes by companion, the most first."""
    minutes: dict[int | None, int] = {}
    for day in days:
        for persona, count in day.personas.items():
            minutes[persona] = minutes.get(persona, 0) + count
    known = Persona.objects.in_bulk([key for key in minutes if key is not None])
    named = [
        (
            portrayal.face(known[key], language).name
            if key in known
            else gettext("Companions that are no more"),
            count,
        )
        for key, count in minutes.items()
    ]
    return sorted(named, key=lambda each: (-each[1], each[0]))


def _breaks(user: User, now: dt.datetime) -> dict[str, int]:
    rows = Notice.objects.filter(
        user=user, kind=Notice.Kind.BREAK, raised_at__gt=now - dt.timedelta(days=DAYS)
    )
    return rows.aggregate(
        shown=Count("pk", filter=Q(shown_at__isnull=False)),
        taken=Count("pk", filter=Q(answer=Notice.Answer.PAUSE)),
    )


def _stretch(user: User, now: dt.datetime) -> UsageSession | None:
    """The stretch of use that goes on."""
    return UsageSession.objects.filter(user=user, ended=False, seen_at__gte=now - reminders.PAUSE).first()


def _initial(own: Own) -> dict[str, Any]:
    begins, ends = own.quiet or (None, None)
    return {"daily_minutes": own.daily_minutes, "quiet_from": begins, "quiet_until": ends}


def _moment(request: HttpRequest, at: dt.datetime) -> str:
    zone = effective_policy(_user(request), timezone.now()).zone
    return date_format(timezone.localtime(at, ZoneInfo(zone)), "DATETIME_FORMAT")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # behind login_required
    return request.user
