"""What a person reads while the companion is silent and no human has taken over yet: fixed, reviewed lines. Pure.

Draft article 11(2) asks for prepared replies. Nothing here promises that somebody is coming: the lines say what was done.
"""

from dataclasses import dataclass
from typing import Final, Literal

from safety import replies

STEPS: Final = ("care.safe_question", *(f"care.still_here.{number}" for number in range(1, 6)))
_YES: Final = frozenset({"安全", "我安全", "是", "是的", "嗯", "yes", "i am safe", "i'm safe", "safe"})
_NO: Final = frozenset(
    {"不安全", "我不安全", "不", "不是", "没有", "no", "not safe", "i am not safe", "i'm not safe"}
)


@dataclass(frozen=True)
class Standing:
    """Where a case stands when the person writes."""

    category: str
    step: int  # lines of the script shown so far
    alerted: bool  # somebody on duty has it on their page
    fresh: bool  # this message opened the case or made it graver


def next_line(standing: Standing, text: str) -> str:
    """The code of the next line. A question is asked once, its answer is heard, then one small step after another."""
    if standing.fresh:
        return _for(standing.category, "care.told_team" if standing.alerted else "care.nobody_on_duty")
    if standing.step == 1 and (said := answer(text)):
        return f"care.answer_{said}"
    # The question first, then the steps round and round.
    return STEPS[0] if standing.step == 0 else STEPS[1 + (standing.step - 1) % (len(STEPS) - 1)]


def answer(text: str) -> Literal["safe", "unsafe", ""]:
    """What a short answer to "are you safe right now?" says; anything longer is for people to read."""
    said = text.strip().lower().strip("。.！!，, ")
    return "unsafe" if said in _NO else "safe" if said in _YES else ""


def _for(category: str, code: str) -> str:
    """The variant of a line for a category, where there is one."""
    return own if (own := f"{code}.{category}") in replies.codes() else code
