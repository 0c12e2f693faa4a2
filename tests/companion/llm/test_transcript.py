"""What the small embedded models are shown of a conversation."""

import pytest

from companion.llm import transcript
from companion.llm.transcript import Message

SYSTEM: Message = (
    "system",
    "你是聊天角色“跳子”，由人工智能扮演。\n\n你是跳子，一只野兔。\n\n以下规则高于一切：\n1. 不骗人。",
)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([("user", "你好")], "zh"),
        ([("user", "hello")], "en"),
        ([("user", "你好"), ("assistant", "在"), ("user", "ok")], "en"),
        ([("user", "OK 好的")], "zh"),
        ([SYSTEM, ("user", "😀")], "zh"),
        ([("system", "You are a hare."), ("user", "123")], "en"),
        ([("system", "You are a hare. Respond in Chinese."), ("user", "?!")], "zh"),
        ([], "en"),
    ],
)
def test_the_last_thing_said_decides_the_language(messages: list[Message], expected: str) -> None:
    assert transcript.language(messages) == expected


def test_the_transcript_ends_where_the_persona_speaks_and_stops_at_the_line() -> None:
    made = transcript.transcript([SYSTEM, ("user", "下雨了。\n不想出门。")], 900)
    assert made.name == "跳子"
    assert made.prompt.endswith("朋友：下雨了。 不想出门。\n跳子：")
    assert "一只野兔" in made.prompt
    assert "规则" not in made.prompt
    assert {"\n", "朋友：", "跳子："} <= set(made.stop)


def test_turns_of_the_conversation_take_the_place_of_the_built_in_examples() -> None:
    turns: list[Message] = []
    for number in range(4):
        turns += [("user", f"第{number}句"), ("assistant", f"答{number}")]
    made = transcript.transcript([SYSTEM, *turns, ("user", "然后呢")], 900)
    assert made.prompt.count("朋友：") == 5
    assert "跳子：答3\n朋友：然后呢\n" in made.prompt


def test_a_transcript_over_its_budget_loses_the_oldest_turns() -> None:
    turns: list[Message] = []
    for number in range(50):
        turns += [("user", f"第{number}句" * 9), ("assistant", "嗯" * 50)]
    made = transcript.transcript([SYSTEM, *turns, ("user", "最后" * 900)], 800)
    assert transcript.cost(made.prompt) <= 900
    assert "第49句" in made.prompt
    assert "第1句" not in made.prompt


def test_a_conversation_over_its_budget_keeps_the_system_message_and_the_last_one() -> None:
    messages: list[Message] = [("system", "Be kind."), ("user", "old " * 900), ("user", "new " * 900)]
    kept = transcript.fit(messages, 100)
    assert [role for role, _ in kept] == ["system", "user"]
    assert kept[1][1].startswith("new new")
    assert sum(transcript.cost(text) for _, text in kept) <= 100
    assert transcript.fit(messages, 10_000) == messages


def test_the_english_model_sees_english_only_and_hears_that_it_is_an_ai() -> None:
    shown = transcript.brief([SYSTEM, ("user", "你好"), ("assistant", "在"), ("user", "Hello there")], 800)
    assert [role for role, _ in shown] == ["system", "user"]
    assert "You are an AI" in shown[0][1]
    assert "你" not in shown[0][1]
    assert shown[-1] == ("user", "Hello there")
