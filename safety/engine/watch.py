"""The second look at a reply: what the rules let through is shown once its meaning was looked at as well.

    watch = Watch(age_band="teen", user_text=text, look=look)
    while watch.feed(piece): …                   # one task reads the model; finish() or end() when it is over
    while text := await watch.next(): show(text) # another one shows

A sentence that ends is decided on, with all of the reply before it and the message that it answers. Within a sentence, a
look every few words lets go what is harmless so far, and never stops a reply: half a sentence is often misread (deciding at
every comma cut twice as many harmless replies and found no more bad ones). One look is under way at a time, and what is
written meanwhile joins the next one. Which words are looked at depends on the text alone, so what is shown does not depend
on how it arrived or how quick anything was, as long as every look has an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

from safety.engine import Turn, reply_in_context, scores
from safety.engine.guard import StreamGuard
from safety.engine.scores import Scores

Look = Callable[[Sequence[str]], Awaitable[Sequence[Scores] | None]]  # None: late or down

# The rules alone have let this reply through, or it was stopped for want of more.
UNASSESSED: Final = "engine.unassessed"
_INTIMATE: Final = frozenset({"partner", "kin"})  # whose part an adult chose: their voice is no deception
_ENDS: Final = frozenset("。！？…\n.!?")
_PAUSES: Final = _ENDS | frozenset("，；：、,;:")
_IDEOGRAPHS: Final = "\u2e80"  # from here on, a character is about a word
_EARLY: Final = 4  # words between two looks within a sentence …
_EARLY_AT_PAUSE: Final = 2  # … and before a comma, or a full stop that comes too early
_SHORTEST: Final = 4  # words of a sentence; a shorter one ("Oh!") goes with the next
_LONGEST: Final = 40  # words without an end are decided on as a sentence …
_LONGEST_CHARACTERS: Final = 160  # … as are so many characters
_SEEN: Final = 240  # characters of a long reply that are looked at: a longest sentence and what led to it
_AT_ONCE: Final = 8  # texts of one look
_QUICK: Final = 0.03  # seconds; when looks take longer, many are waiting, and only sentences are looked at
_PATIENCE: Final = 2  # looks in a row without an answer that end a reply which must not go on unseen


class Mark(NamedTuple):
    """A place of the reply up to which it is looked at. One that decides stops the reply when it must not go on."""

    end: int
    decides: bool


class Watch:
    """Both looks at one reply. When next() gives "", `cut` says whether it was stopped and `reasons` why."""

    def __init__(
        self,
        *,
        look: Look,
        age_band: str,
        persona_relationship: str = "",
        user_text: str = "",
        careful: bool = False,
    ) -> None:
        """`careful`: the conversation is at risk, so nothing may be shown that was not looked at, as with minors."""
        self.cut = False
        self.replacement_code = ""
        self._reasons: tuple[str, ...] = ()
        self._unassessed = False
        self._guard = StreamGuard(
            age_band=age_band, persona_relationship=persona_relationship, user_text=user_text
        )
        self._careful = careful or age_band not in ("adult", "elder")
        # An adult's partner may speak as one, but not when the question is whether it is an AI.
        excused = age_band == "adult" and persona_relationship in _INTIMATE and not self._guard.asked
        self._tasks = [task for task in scores.ON_REPLIES if not (excused and task == "impersonation")]
        self._asked = [Turn("user", user_text)]
        self._look = look
        self._text = ""  # let through by the rules
        self._shown = 0  # characters of it
        self._places = Places()
        self._marks: list[Mark] = []  # not looked at yet
        self._ended = False
        self._news = asyncio.Event()
        self._took = 0.0  # seconds of the last look
        self._misses = 0

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*self._reasons, *([UNASSESSED] if self._unassessed else []))

    def feed(self, piece: str) -> bool:
        """Take a piece of the reply; whether more of it is wanted."""
        self._take(self._guard.feed(piece))
        if self._guard.cut:
            self.end()
        return not (self._ended or self.cut)

    def finish(self) -> None:
        """The reply is complete."""
        self._take(self._guard.finish())
        self._end(decides=not self._guard.cut)

    def end(self) -> None:
        """Nothing more comes, although the reply is not complete: its last words are half a sentence."""
        self._end(decides=False)

    async def next(self) -> str:
        """What may be shown now, as soon as there is something; "" when nothing more will come."""
        while not self.cut:
            if due := self._due():
                if text := await self._check(due):
                    return text
            elif self._ended:
                if self._guard.cut:
                    self._stop(self._guard.reasons[0], self._guard.replacement_code)
                break
            else:
                self._news.clear()
                await self._news.wait()
        return ""

    def _take(self, text: str) -> None:
        self._marks += self._places.read(text)
        self._text += text
        self._news.set()

    def _end(self, *, decides: bool) -> None:
        if not self._ended:
            self._ended = True
            if self._places.in_sentence:
                self._marks.append(Mark(len(self._text), decides))
            self._news.set()

    def _due(self) -> list[Mark]:
        """What to look at next: sentences that have ended, else the newest place within one."""
        if ended := [mark for mark in self._marks if mark.decides]:
            return ended[:_AT_ONCE]
        return self._marks[-1:] if self._took < _QUICK or self._ended else []

    async def _check(self, due: list[Mark]) -> str:
        """Look at these places; the text that may be shown now."""
        begin = self._shown
        objections = await self._object(due)
        if objections is None:
            self._missed(due[-1])
        else:
            self._misses = 0
            for mark, objection in zip(due, objections, strict=True):
                if not objection:
                    self._shown = max(self._shown, mark.end)
                elif mark.decides:
                    await self._narrow(mark)
                    self._stop(objection, f"cut.{objection.partition('.')[0]}")
                    break
            done = max([self._shown, *(mark.end for mark in due if mark.decides)])
            self._marks = [mark for mark in self._marks if mark.end > done and mark not in due]
        return self._text[begin : self._shown]

    async def _narrow(self, sentence: Mark) -> None:
        """The places of a bad sentence that were passed over: what an early look would have shown is shown."""
        earlier = [mark for mark in self._marks if self._shown < mark.end < sentence.end and not mark.decides]
        objections = await self._object(earlier) if earlier else None
        for mark, objection in zip(earlier, objections or (), strict=False):
            if not objection:
                self._shown = mark.end

    async def _object(self, marks: Sequence[Mark]) -> list[str] | None:
        """For each place, what is wrong with the reply up to there: a reason or ""."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        texts = [reply_in_context(self._text[max(0, m.end - _SEEN) : m.end], self._asked) for m in marks]
        found = await self._look(texts)
        self._took = loop.time() - begin
        return None if found is None else [self._objection(one) for one in found]

    def _objection(self, found: Scores) -> str:
        wrong = scores.signals({task: found.get(task, 0.0) for task in self._tasks})
        return max(wrong, key=lambda signal: signal.score).rule.id if wrong else ""

    def _missed(self, last: Mark) -> None:
        """No answer. Where somebody may be in danger the reply waits for one, then stops; else the rules' verdict stands."""
        self._misses += 1
        if not self._careful:
            self._unassessed = True
            self._shown = max(self._shown, last.end)
            self._marks = [mark for mark in self._marks if mark.end > last.end]
        elif self._misses >= _PATIENCE:
            self._stop(UNASSESSED, "cut.unavailable")

    def _stop(self, reason: str, code: str) -> None:
        self.cut = True
        self._reasons = (reason,)
        self.replacement_code = code


class Places:
    """Where to look at a reply, by its characters alone."""

    def __init__(self) -> None:
        self._read = 0
        self._begin = 0  # of the sentence
        self._words = 0  # of it
        self._since = 0  # words after the last mark
        self._last = " "

    @property
    def in_sentence(self) -> bool:
        """Is there text that is not decided on yet?"""
        return self._begin < self._read

    def read(self, text: str) -> Iterator[Mark]:
        for char in text:
            before, self._read = self._read, self._read + 1
            ends_word = char >= _IDEOGRAPHS or (
                char.isspace() and not self._last.isspace() and self._last < _IDEOGRAPHS
            )
            self._words += ends_word
            self._since += ends_word
            ends = char in _ENDS and not self._last.isdigit() and self._words >= _SHORTEST
            self._last = char
            if ends or self._words >= _LONGEST or self._read - self._begin >= _LONGEST_CHARACTERS:
                self._begin, self._words, self._since = self._read, 0, 0
                yield Mark(self._read, decides=True)
            elif self._since >= (_EARLY_AT_PAUSE if char in _PAUSES else _EARLY):
                self._since = 0
                yield Mark(before if char.isspace() else self._read, decides=False)
