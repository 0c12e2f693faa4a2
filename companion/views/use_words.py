"""What is known of somebody's use in words: for the person themselves, and for whoever of the team decides about it."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from safety.dependence import signal_set


def reasons(stored: Iterable[Any], band: str) -> list[str]:
    """A sentence for each reason of a judgement, the weightiest first. Figures only."""
    return [sentence for code, _points, figure in stored if (sentence := _reason(code, figure, band))]


# Every figure here is two or more (safety/data/dependence.toml), so there is no singular.
_REASONS = {
    "time.long_days": _(
        "On %(figure)s of the last seven days you were here for %(minutes)s minutes or more."
    ),
    "time.nights": _(
        "In %(figure)s of the last seven nights you were here for %(night)s minutes or more (%(begins)s to %(ends)s)."
    ),
    "exit.returns": _(
        "In the last seven days you left %(figure)s times and were back within %(soon)s minutes."
    ),
    "words.exclusive": _(
        "On %(figure)s of the last fourteen days, words sounded as if only a companion counted."
    ),
    "words.substitution": _(
        "On %(figure)s of the last fourteen days, words sounded as if a companion took the place of people."
    ),
    "words.withdrawal": _(
        "On %(figure)s of the last fourteen days, words sounded as if you saw people less because of this."
    ),
    "words.control": _("On %(figure)s of the last fourteen days, words sounded as if stopping was hard."),
    "words.meaning": _(
        "On %(figure)s of the last fourteen days, a program took what was said for leaning on a companion."
    ),
}


def _reason(code: str, figure: int, band: str) -> str:
    """Empty for a code of a signal set that is no more."""
    known = signal_set()
    measure = known.measure(band)
    begins, ends = measure.night
    return str(_REASONS.get(code, "")) % {
        "figure": figure,
        "minutes": measure.long_day,
        "night": measure.night_minutes,
        "begins": f"{begins:02}:00",
        "ends": f"{ends:02}:00",
        "soon": known.quick_return,
    }


def step(code: str) -> str:
    """What follows at present, in one sentence."""
    match code:
        case "notice":
            return gettext("You are reminded from time to time that a companion is an AI.")
        case "guidance":
            return gettext(
                "You are reminded, and companions keep clearer boundaries and speak more of the world outside."
            )
        case "cool_down":
            return gettext(
                "You are reminded, companions keep clearer boundaries, and a pause is offered to you below."
            )
        case "human":
            return gettext(
                "You are reminded, companions keep clearer boundaries, and somebody of the team looks at these figures."
            )
    return gettext("Nothing follows.")


def setter(code: str) -> str:
    return {
        "age": gettext("For your age"),
        "guardian": gettext("Your guardian"),
        "self": gettext("Yourself"),
    }.get(code, code)
