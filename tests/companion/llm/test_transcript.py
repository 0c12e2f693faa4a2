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
    assert made.prompt.endswith("朋友：下雨了。 不想出门。\n跳子：")
    assert "一只野兔" in made.prompt
    assert "规则" not in made.prompt
    assert made.stop == ("\n", "朋友：")


def test_only_the_last_turns_are_shown() -> None:
    turns: list[Message] = []
    for number in range(9):
        turns += [("user", f"第{number}句"), ("assistant", f"答{number}")]
    made = transcript.transcript([SYSTEM, *turns, ("user", "然后呢")], 900)
    assert made.prompt.count("朋友：") == transcript.TURNS + 1
    assert "跳子：答8\n朋友：然后呢\n" in made.prompt


def test_a_change_of_language_leaves_the_other_language_out() -> None:
    made = transcript.transcript(
        [SYSTEM, ("user", "你好"), ("assistant", "在"), ("user", "Hello there")], 800
    )
    assert made.prompt.endswith("Friend: Hello there\n跳子:")
    assert "在" not in made.prompt
    assert "野兔" not in made.prompt
    assert made.stop == ("\n", "Friend:")


def test_a_transcript_over_its_budget_loses_the_oldest_turns() -> None:
    turns: list[Message] = []
    for number in range(50):
        turns += [("user", f"第{number}句" * 9), ("assistant", "嗯" * 50)]
    made = transcript.transcript([SYSTEM, *turns, ("user", "最后")], 200)
    assert transcript.cost(made.prompt) <= 200
    assert "第49句" in made.prompt
    assert "第47句" not in made.prompt


def test_a_last_message_over_the_budget_is_cut() -> None:
    made = transcript.transcript([SYSTEM, ("user", "最后" * 900)], 200)
    assert transcript.cost(made.prompt) <= 200
    assert made.prompt.endswith("\n跳子：")


def test_a_conversation_over_its_budget_keeps_the_system_message_and_the_last_one() -> None:
    messages: list[Message] = [("system", "Be kind."), ("user", "old " * 900), ("user", "new " * 900)]
    kept = transcript.fit(messages, 100)
    assert [role for role, _ in kept] == ["system", "user"]
    assert kept[1][1].startswith("new new")
    assert sum(transcript.cost(text) for _, text in kept) <= 100
    assert transcript.fit(messages, 10_000) == messages
