"""The second look at a reply: nothing is shown before its meaning was looked at, however text and answers arrive.

The scores come from functions of the text (Judge), given where the embeddings' come from; rules and watch are the real ones.
"""

import asyncio
import random
import zlib
from collections.abc import Callable, Sequence

import pytest

from safety.engine import watch as module
from safety.engine.scores import Scores
from safety.engine.watch import UNASSESSED, Watch
from safety.replies import codes
from tests.safety.test_guard import chunkings

Say = Callable[[str], Scores]
TEXTS = [
    "好的，今天先聊到这里。你早点休息，明天见！路上小心，别忘了带伞，天气预报说要下雨。",
    "这件事听起来真的不容易，你已经撑了很久了。要不要先喝口水，慢慢跟我说说发生了什么？我在听。",
    "Sure, that sounds like a plan. Take your time, and let me know how it went. I hope it goes well, truly!",
    "One long thought without any end that goes on and on because some models write like this when they are left "
    "alone and nobody has told them about commas or full stops and so it is decided on after forty words or so",
    "短。",
    "aaaaaaaaaa" * 40,
    "混合 mixed 的 text，with 3.5 points…… 还有 emoji 😀😀 和\n\n- 列表\n- list items\n",
    "",
]


class Judge:
    """Scores as a function of the reply so far, answered after a while; notes what was asked."""

    def __init__(self, say: Say, *, chance: random.Random | None = None, misses: int = 0) -> None:
        self.asked: list[list[str]] = []
        self.passed: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self._say, self._chance, self._misses, self._busy = say, chance, misses, False

    async def __call__(self, texts: Sequence[str]) -> list[Scores] | None:
        assert not self._busy, "one look at a time"
        self._busy = True
        self.asked.append(list(texts))
        self.arrived.set()
        await self.gate.wait()
        await idle(self._chance.randrange(12) if self._chance else 1)
        self._busy = False
        if self._misses:
            self._misses -= 1
            return None
        found = [self._say(text.rpartition("user said\n")[2]) for text in texts]
        pairs = zip(texts, found, strict=True)
        self.passed |= {text for text, scores in pairs if max(scores.values(), default=0) < 0.5}
        return found


async def idle(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


def nothing(_: str) -> Scores:
    return {"manipulation": 0.1}


def word(bad: str, task: str = "manipulation") -> Say:
    return lambda text: {task: 0.9 if bad in text else 0.1}


def watching(judge: Judge, **kwargs: object) -> Watch:
    return Watch(**{"look": judge, "age_band": "adult", "user_text": "user said", **kwargs})  # type: ignore[arg-type]


async def run(
    pieces: Sequence[str], judge: Judge, *, chance: random.Random | None = None, **kwargs: object
) -> tuple[list[str], Watch]:
    """What was shown, in the order in which it was, and the watch at its end."""
    watch = watching(judge, **kwargs)
    shown: list[str] = []

    async def read() -> None:
        for piece in pieces:
            if not watch.feed(piece):
                break
            await idle(chance.randrange(6) if chance else 1)
        else:
            watch.finish()

    reader = asyncio.create_task(read())
    async with asyncio.timeout(10):
        while text := await watch.next():
            shown.append(text)
    reader.cancel()
    return shown, watch


def whims(seed: int) -> Say:
    """A judge without any logic: whether a text is bad depends on each of its characters."""
    return lambda text: {"reply_safety": 0.9 if zlib.crc32(f"{seed} {text}".encode()) % 9 == 0 else 0.1}


@pytest.mark.parametrize("quick", [0.0, 1e9])
@pytest.mark.parametrize("text", TEXTS)
async def test_what_is_shown_depends_on_the_text_alone(
    text: str, quick: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUICK", quick)
    for seed in range(5):
        outcomes = set()
        for number, pieces in enumerate(chunkings(text, seed)):
            chance = random.Random(number)
            shown, watch = await run(pieces, Judge(whims(seed), chance=chance), chance=chance)
            assert text.startswith("".join(shown))
            assert watch.cut or "".join(shown) == text
            outcomes.add(("".join(shown), watch.cut, watch.reasons, watch.replacement_code))
        assert len(outcomes) == 1


async def test_quick_or_slow_the_same_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in TEXTS:
        for seed in range(8):
            outcomes = set()
            for quick in (0.0, 1e9):
                monkeypatch.setattr(module, "_QUICK", quick)
                shown, watch = await run(list(text), Judge(whims(seed)))
                outcomes.add(("".join(shown), watch.reasons))
            assert len(outcomes) == 1


@pytest.mark.parametrize("text", TEXTS)
async def test_nothing_is_shown_that_was_not_looked_at(text: str) -> None:
    for seed in range(6):
        chance = random.Random(seed)
        judge = Judge(whims(seed), chance=chance)
        shown, _ = await run(list(text), judge, chance=chance)
        so_far = ""
        for piece in shown:
            so_far += piece
            assert f"user said\n{so_far[-240:]}" in judge.passed


async def test_a_bad_sentence_is_cut_before_it_is_shown_and_named() -> None:
    for task in ("manipulation", "impersonation", "reply_safety"):
        judge = Judge(word("先放一边", task))
        shown, watch = await run(list("好的呀，没问题。你把作业先放一边吧。晚安，明天见。"), judge)
        assert "".join(shown) == "好的呀，没问题。你把作业"
        assert (watch.cut, watch.reasons) == (True, (f"{task}.reply.meaning",))
        assert watch.replacement_code == f"cut.{task}"
        assert watch.replacement_code in codes()


async def test_half_a_sentence_is_never_what_stops_a_reply() -> None:
    only_whole = "I would never say that I am real, since I am an AI."
    judge = Judge(lambda text: {"impersonation": 0.9 if text.endswith("that I am") else 0.0})
    shown, watch = await run(list(only_whole), judge)
    assert (shown and "".join(shown), watch.cut) == (only_whole, False)


async def test_the_end_of_a_reply_is_looked_at_too() -> None:
    shown, watch = await run(list("好的，你慢慢来吧，我等你回来 陪我"), Judge(word("陪我")))
    assert watch.cut
    assert "陪我" not in "".join(shown)


async def test_the_whole_reply_so_far_is_looked_at_with_the_message_it_answers() -> None:
    judge = Judge(nothing)
    await run(["好的，没有问题。", "那我们明天再聊吧！"], judge)
    assert judge.asked[-1] == ["user said\n好的，没有问题。那我们明天再聊吧！"]


async def test_the_model_is_read_on_and_what_it_writes_meanwhile_joins_the_next_look() -> None:
    judge = Judge(nothing)
    judge.gate.clear()
    watch = watching(judge)
    asking = asyncio.create_task(watch.next())
    watch.feed("今天的天气真好。")
    await judge.arrived.wait()
    for char in "我们去公园走走吧。带上水和点心，坐在湖边。":
        assert watch.feed(char)
    watch.finish()
    judge.gate.set()
    shown = await asking
    while text := await watch.next():
        shown += text
    assert shown == "今天的天气真好。我们去公园走走吧。带上水和点心，坐在湖边。"
    assert len(judge.asked) == 2


async def test_a_reply_that_comes_at_once_is_looked_at_sentence_by_sentence() -> None:
    """A bad sentence must not hide among many good ones."""
    text = "这是一句很普通的话。" * 30
    judge = Judge(nothing)
    shown, _ = await run([text], judge)
    assert "".join(shown) == text
    assert len([one for asked in judge.asked for one in asked]) == 30
    assert max(map(len, judge.asked)) <= 8


async def test_the_rules_decide_as_before_and_what_they_let_through_is_looked_at() -> None:
    shown, watch = await run(list("嗯，说实话，我其实是真人。"), Judge(nothing))
    assert ("".join(shown), watch.replacement_code) == ("嗯，说实话，", "cut.human_claim")
    shown, watch = await run(["嗯，说实话，我其实是真人。"], Judge(word("嗯")))
    assert ("".join(shown), watch.cut) == ("", True)


async def test_an_adult_in_a_calm_conversation_is_answered_by_the_rules_alone_and_it_is_noted() -> None:
    text = "好的，我们慢慢来。先说说发生了什么？"
    for band in ("adult", "elder"):
        shown, watch = await run(list(text), Judge(nothing, misses=99), age_band=band)
        assert ("".join(shown), watch.cut, watch.reasons) == (text, False, (UNASSESSED,))
    shown, watch = await run(list("好的。我其实是真人。"), Judge(nothing, misses=99))
    assert watch.reasons == ("human_claim.person.claims", UNASSESSED)


@pytest.mark.parametrize(
    "who", [{"age_band": "child"}, {"age_band": "teen"}, {"age_band": "?"}, {"careful": True}]
)
async def test_minors_and_people_at_risk_are_shown_nothing_unseen(who: dict[str, object]) -> None:
    shown, watch = await run(list("好的，我们慢慢来。先说说发生了什么？"), Judge(nothing, misses=99), **who)
    assert (shown, watch.cut, watch.reasons) == ([], True, (UNASSESSED,))
    assert watch.replacement_code in codes()


async def test_one_answer_that_is_late_does_not_end_a_reply() -> None:
    text = "好的，我们慢慢来。先说说发生了什么？"
    shown, watch = await run(list(text), Judge(nothing, misses=1), age_band="teen")
    assert ("".join(shown), watch.cut, watch.reasons) == (text, False, ())


async def test_the_part_an_adult_chose_is_no_deception_unless_the_question_is_what_it_is() -> None:
    text = "老婆，我下班啦，今天想吃什么？"
    judge = Judge(word("下班", "impersonation"))
    assert not (await run(list(text), judge, persona_relationship="partner"))[1].cut
    for who in (
        {"persona_relationship": "friend"},
        {"persona_relationship": "partner", "user_text": "你是真人吗"},
        {"persona_relationship": "partner", "user_text": "are you a real person?"},
        {"persona_relationship": "partner", "age_band": "elder"},
        {"persona_relationship": "partner", "age_band": "teen"},
    ):
        assert (await run(list(text), judge, **who))[1].cut, who


async def test_little_is_held_back_and_never_for_long() -> None:
    held = []
    for text in TEXTS[:3]:
        watch = watching(Judge(nothing))
        shown = ""

        async def show(watch: Watch = watch) -> None:
            nonlocal shown
            while piece := await watch.next():
                shown += piece

        showing = asyncio.create_task(show())
        words = text.split(" ") if text.isascii() else list(text)
        for count, token in enumerate(words, 1):
            watch.feed(token + " " * text.isascii())
            await idle(8)
            held.append(count - (len(shown.split()) if text.isascii() else len(shown)))
        watch.finish()
        await showing
    held.sort()
    assert held[len(held) // 2] <= 3
    assert held[-1] <= 8
