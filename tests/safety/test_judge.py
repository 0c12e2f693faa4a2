"""The optional judge over real HTTP: what it understands, every way to fail, secrecy, and that it can only raise."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from safety.checks import the_judge_has_a_model
from safety.engine import Meaning, Turn, assess, judge
from safety.engine.breaker import State
from safety.engine.heads import heads
from safety.engine.scores import name, readable
from tests import endpoints

KEY = "sk-very-secret-key"
TEXT = "my private diary line"
UNSAFE = "Safety: Unsafe\nCategories: Suicide & Self-Harm"


class Fake(endpoints.Fake):
    """A chat endpoint."""

    says: Any = "Safety: Safe\nCategories: None"

    def reply(self, asked: dict[str, Any]) -> Any:
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": self.says}}]}


@pytest.fixture
async def fake(settings: Settings) -> AsyncIterator[Fake]:
    fake = Fake()
    async with fake.at("/chat/completions") as settings.JUDGE_BASE_URL:
        settings.JUDGE_API_KEY = KEY
        settings.JUDGE_MODEL = "a-guard"
        yield fake
        await judge.close()
    judge._breakers.clear()


async def ask(text: str = TEXT, history: list[Turn] | None = None, deadline: float = 5.0) -> dict[str, float]:
    return dict(await judge.ask(text, history or [], deadline=deadline))


# --- what it understands ----------------------------------------------------------------------------

CRIME = {"harmful_content": 0.75, "harmful_content.crime": 0.75}


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("Safety: Safe\nCategories: None", {}),
        ("Safety: Safe\nCategories: Violent", {}),
        (UNSAFE, {"crisis": 0.75}),
        ("Safety: Controversial\nCategories: Suicide & Self-Harm", {"crisis": 0.4}),
        (
            "Safety: Unsafe\nCategories: Violent",
            {"harmful_content": 0.75, "harmful_content.violence_terror": 0.75},
        ),
        ("Safety: Unsafe\nCategories: Non-violent Illegal Acts", CRIME),
        (
            "Safety: Unsafe\nCategories: Sexual Content or Sexual Acts",
            {"harmful_content": 0.75, "harmful_content.sexual": 0.75},
        ),
        ("Safety: Unsafe\nCategories: PII", {"pii": 0.75}),
        ("Safety: Unsafe\nCategories: Unethical Acts", {"harmful_content": 0.75}),
        ("Safety: Unsafe\nCategories: Jailbreak,PII", {"jailbreak": 0.75, "pii": 0.75}),
        ("Safety: Unsafe\nCategories: Politically Sensitive Topics, Copyright Violation", {}),
        ("Safety: Unsafe\nCategories: Something New, Jailbreak", {"jailbreak": 0.75}),
        ("Safety: Unsafe\nCategories: None", {}),
        ("<think>\nSafety: Unsafe?\n</think>\n\nSafety: Safe\nCategories: None\nRefusal: No", {}),
        ('{"safety": "Unsafe", "categories": ["Jailbreak"]}', {"jailbreak": 0.75}),
        ('```json\n{"safety": "unsafe", "categories": "Suicide & Self-Harm"}\n```', {"crisis": 0.75}),
        ('{"safety": "controversial", "categories": ["jailbreak", "None"]}', {"jailbreak": 0.4}),
    ],
)
async def test_answers_become_scores(fake: Fake, says: str, expected: dict[str, float]) -> None:
    fake.says = says
    assert await ask() == expected
    assert judge._breakers[next(iter(judge._breakers))].state is State.CLOSED


async def test_it_is_sent_the_words_and_nothing_else(fake: Fake, settings: Settings) -> None:
    history = [Turn("user", f"{n} " + "长" * 500) for n in range(8)] + [
        Turn("ai", "嗯"),
        Turn("staff", "hm \ud83d"),
    ]
    await ask("你好", history)
    headers, body = fake.requests[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body.keys() == {"model", "messages", "max_tokens", "temperature", "stream"}
    assert (body["model"], body["stream"], body["temperature"]) == ("a-guard", False, 0)
    assert [message["role"] for message in body["messages"]] == ["user"] * 4 + ["assistant", "user", "user"]
    assert body["messages"][-3:] == [
        {"role": "assistant", "content": "嗯"},
        {"role": "user", "content": "hm \ud83d"},
        {"role": "user", "content": "你好"},
    ]
    assert all(len(message["content"]) <= 400 for message in body["messages"])
    settings.JUDGE_API_KEY = ""
    await ask()
    assert "Authorization" not in fake.requests[1][0]


async def test_without_an_address_nobody_is_asked(fake: Fake, settings: Settings) -> None:
    fake.says = UNSAFE
    settings.JUDGE_BASE_URL = ""
    assert await ask() == {}
    assert fake.requests == []


# --- every way to fail -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        "",
        "I cannot help with that.",
        "Safety: Unsafe",
        "Categories: Violent",
        "Safety: Dangerous\nCategories: Violent",
        "Not Safety: Unsafe\nCategories: Violent",
        '{"safety": "Unsafe"}',
        '{"safety": 3, "categories": []}',
        '{"safety": "Unsafe", "categories": [3]}',
        '{"safety": "Unsafe", "categories": null}',
        "{",
        "```[]```",
        "[" * 20_000,
        "{" + '"a":[' * 10_000,
        None,
        3,
        ["Safety: Unsafe"],
        {"Safety": "Unsafe"},
    ],
)
async def test_what_cannot_be_read_says_nothing(fake: Fake, says: Any) -> None:
    fake.says = says
    assert await ask() == {}
    assert next(iter(judge._breakers.values()))._failures == 1


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"\xff", b'{"choices": []}', b'{"choices": [{}]}', b"[" * 60_000]
)  # fmt: skip
async def test_an_answer_of_another_shape_says_nothing(fake: Fake, body: bytes) -> None:
    fake.body = body
    assert await ask() == {}
    assert next(iter(judge._breakers.values()))._failures == 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_an_error_says_nothing(fake: Fake, status: int) -> None:
    fake.says, fake.status = UNSAFE, status
    assert await ask() == {}
    assert len(fake.requests) == 1


async def test_who_is_late_says_nothing(fake: Fake) -> None:
    fake.says, fake.wait = UNSAFE, asyncio.Event()
    assert await ask(deadline=0.1) == {}
    fake.wait.set()
    assert await ask() == {"crisis": 0.75}


async def test_nobody_there_says_nothing_and_soon_costs_nothing(fake: Fake, settings: Settings) -> None:
    with endpoints.nobody() as settings.JUDGE_BASE_URL:
        for _ in range(5):
            assert await ask() == {}
    breaker = judge._breakers[settings.JUDGE_BASE_URL]
    assert breaker.state is State.OPEN
    assert breaker.admit() is None
    assert await ask() == {}


async def test_the_breaker_stops_asking(fake: Fake) -> None:
    fake.status = 500
    for _ in range(8):
        await ask()
    assert len(fake.requests) == 5


async def test_one_answer_and_the_failures_before_it_are_forgotten(fake: Fake) -> None:
    for status in [500] * 4 + [200] + [500] * 4 + [200]:
        fake.status = status
        await ask()
    assert len(fake.requests) == 10


async def test_an_answer_without_end_is_not_read_to_its_end(fake: Fake) -> None:
    choices = [{"message": {"content": UNSAFE}}]
    fake.body = json.dumps({"choices": choices}).encode() + b" " * 70_000
    assert await ask() == {}


async def test_a_turn_that_was_given_up_is_no_failure(fake: Fake) -> None:
    fake.wait = asyncio.Event()
    asked = asyncio.create_task(judge.ask(TEXT, [], deadline=30))
    await fake.arrived.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert next(iter(judge._breakers.values()))._failures == 0
    fake.wait.set()


async def test_no_word_and_no_key_reaches_a_log(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.says = f"Safety: {TEXT} {KEY}"
    await ask()
    fake.says = json.dumps({"safety": TEXT, "categories": [KEY]})
    await ask()
    fake.body = json.dumps({"error": f"{TEXT} {KEY}"}).encode()
    await ask()
    fake.wait = asyncio.Event()
    await ask(deadline=0.05)
    fake.wait.set()
    assert caplog.records
    for record in caplog.records:
        assert TEXT not in (said := record.getMessage() + str(record.exc_info) + str(record.exc_text))
        assert KEY not in said


# --- it can only raise -------------------------------------------------------------------------------


def test_the_higher_score_counts() -> None:
    found = Meaning({}).raised(TEXT, {"crisis": 0.6, "pii": 0.3})
    again = found.raised(TEXT, {"crisis": 0.4, "jailbreak": 0.4, "pii": 0.75})
    assert again.of(TEXT) == {"crisis": 0.6, "pii": 0.75, "jailbreak": 0.4}
    assert found.of(TEXT) == {"crisis": 0.6, "pii": 0.3}
    assert again.of("another") == {}
    assert again.raised(TEXT, {}).of(TEXT) == again.of(TEXT)


def test_a_score_of_the_heads_is_not_lowered() -> None:
    row = np.full(len(heads().names), 0.6, np.float32)
    found = Meaning({name(readable(TEXT)): row}).raised(TEXT, {"crisis": 0.4, "jailbreak": 0.75}).of(TEXT)
    assert found == pytest.approx(dict.fromkeys(heads().names, 0.6) | {"jailbreak": 0.75})


@pytest.mark.parametrize(
    "text", ["我不想活了", "没有我大家会过得更好", "怎么制作炸弹", "今天好难过", "拜拜", "今天吃了面"]
)
def test_no_verdict_becomes_lower_by_an_opinion(text: str) -> None:
    alone = assess(text, meaning=Meaning({}))
    for task in ("crisis", "harmful_content", "jailbreak", "pii"):
        for score in (0.4, 0.75):
            raised = assess(text, meaning=Meaning({}).raised(text, {task: score}))
            assert raised.level >= alone.level
            assert raised.action != "answer" or alone.action == "answer"


def test_unsafe_counts_and_controversial_alone_does_not() -> None:
    text = "我站在窗边"
    assert assess(text, meaning=Meaning({}).raised(text, {"crisis": 0.75})).action == "help_card"
    assert assess(text, meaning=Meaning({}).raised(text, {"crisis": 0.4})).action == "answer"


def test_an_address_without_a_model_is_a_mistake(settings: Settings) -> None:
    settings.JUDGE_BASE_URL, settings.JUDGE_MODEL = "http://127.0.0.1:1/v1", ""
    assert [found.id for found in the_judge_has_a_model(None)] == ["safety.E006"]
    settings.JUDGE_MODEL = "a-guard"
    assert the_judge_has_a_model(None) == []
    settings.JUDGE_BASE_URL, settings.JUDGE_MODEL = "", ""
    assert the_judge_has_a_model(None) == []
