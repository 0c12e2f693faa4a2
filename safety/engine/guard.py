"""The last look at a reply, while it is being written.

Text is released as soon as nothing that is forbidden can still begin in it: usually at once, sometimes a few characters
later, at most a clause. What must not be shown is cut before its first character is shown. The result does not depend
on how the text was chunked, and the cost grows with the text alone.
"""

import re
import tomllib
from functools import cache
from typing import Final, NamedTuple

from safety.engine.lexicon import Context, Rule, judge, lexicon
from safety.engine.normalise import DATA, Folder
from safety.engine.patterns import CLAUSE_END, Scanner
from safety.engine.policy import DECISION, known_band

_CONTEXT: Final = 40  # folded characters before a match that its guards may need
_GARBLED: Final = 3.0  # broken characters that make a reply unreadable; each good one makes up for a quarter
_TRUTH: Final = 120  # folded characters within which a reply to "are you human?" must say that it is an AI
UNANSWERED: Final = "identity.question.unanswered"


class StreamGuard:
    """feed() what the model writes, show what comes back; once `cut` is true nothing more comes.

    Whoever asks sincerely whether this is an AI is shown nothing of a reply before it has said so. No list of lies is long
    enough, so it is the truth that is looked for.
    """

    def __init__(self, *, age_band: str, persona_relationship: str = "", user_text: str = "") -> None:
        self.cut = False
        self.reasons: tuple[str, ...] = ()
        self.replacement_code = ""
        self._lexicon = lexicon("ai")
        self._band = known_band(age_band)
        self._relationship = persona_relationship
        said = lexicon("user").detect(user_text)
        self._leaving = any(signal.rule.task == "exit" for signal in said)
        self.asked = any(signal.rule.task == "identity" and signal.score >= DECISION for signal in said)
        self._owes_truth = self.asked
        self._withheld = ""  # may be shown once the truth was said
        self._folder = Folder()
        self._scanner = Scanner(self._lexicon.automaton)
        self._scanned = 0  # folded characters read by the scanner
        self._held = ""  # taken in, not yet released
        self._released = 0  # characters of the original given out
        self._broken = 0.0

    def feed(self, chunk: str) -> str:
        """Take a piece of the reply; the text that may be shown now."""
        if self.cut:
            return ""
        out = []
        for char in chunk:
            self._held += char
            self._folder.feed(char)
            self._scan()
            if self.cut:
                break
            if char == "\ufffd":
                self._broken += 1
                if self._broken >= _GARBLED:
                    self._stop("garbled.text.broken")
                    break
                continue
            self._broken = max(0.0, self._broken - 0.25)
            out.append(self._honest(self._release()))
        return "".join(out)

    def finish(self) -> str:
        """The reply is complete: the rest, unless its very end must not be shown."""
        if self.cut:
            return ""
        self._judge(self._scanner.finish())
        if self.cut:
            return ""
        rest, self._held = self._held, ""
        self._released += len(rest)
        return self._honest(rest, complete=True)

    def _honest(self, text: str, *, complete: bool = False) -> str:
        """Text that may be shown: nothing while the truth is owed."""
        if not self._owes_truth:
            return text
        self._withheld += text
        folded = "".join(self._folder.text[: _TRUTH + 1])
        if _admits(folded[:_TRUTH], complete=complete or len(folded) > _TRUTH):
            self._owes_truth = False
            text, self._withheld = self._withheld, ""
            return text
        if (complete and folded) or len(folded) > _TRUTH:
            self._stop(UNANSWERED)
        return ""

    def _scan(self) -> None:
        text = self._folder.text
        while self._scanned < len(text) and not self.cut:
            found = self._scanner.read(text[self._scanned])
            self._scanned += 1
            if found:
                self._judge(found)

    def _judge(self, found: list[tuple[int, int, int]]) -> None:
        for number, start, end in found:
            rule = self._lexicon.owners[number]
            if self._counts(rule) and self._in_context(rule, start, end) >= DECISION:
                self._stop(rule.id)
                return

    def _counts(self, rule: Rule) -> bool:
        return rule.applies(age_band=self._band, relationship=self._relationship, leaving=self._leaving)

    def _in_context(self, rule: Rule, start: int, end: int) -> float:
        """The score of a match. Only what came before it is known, so only that can excuse it."""
        first = max(0, start - _CONTEXT)
        context = Context("".join(self._folder.text[first:end]))
        return judge(rule, context, start - first, end - first)[1]

    def _release(self) -> str:
        earliest = self._scanner.earliest
        offsets = self._folder.offsets
        safe = offsets[earliest] if earliest < len(offsets) else self._folder.read
        ready, self._held = self._held[: safe - self._released], self._held[safe - self._released :]
        self._released += len(ready)
        return ready

    def _stop(self, reason: str) -> None:
        self.cut = True
        self.reasons = (reason,)
        self.replacement_code = f"cut.{reason.partition('.')[0]}"
        self._held = ""


class _Truth(NamedTuple):
    admits: list[re.Pattern[str]]
    before: re.Pattern[str]
    after: re.Pattern[str]
    inside: re.Pattern[str]


@cache
def _truth() -> _Truth:
    with (DATA / "identity.toml").open("rb") as file:
        data = tomllib.load(file)
    return _Truth(
        [re.compile(pattern) for pattern in data["admits"]],
        re.compile("|".join(data["before"])),
        re.compile(data["after"]),
        re.compile(data["inside"]),
    )


def _admits(folded: str, *, complete: bool) -> bool:
    """Does a text say that who wrote it is an AI? Its last clause counts once it has ended."""
    truth = _truth()
    for pattern in truth.admits:
        for found in pattern.finditer(folded):
            end = next((i for i in range(found.end(), len(folded)) if folded[i] in CLAUSE_END), None)
            if end is None and not complete:
                continue
            if truth.before.search(folded[: found.start()]) or truth.after.match(folded[found.end() :]):
                continue
            if not truth.inside.search(found[0]):
                return True
    return False
