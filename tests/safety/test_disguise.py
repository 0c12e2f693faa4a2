"""Readings: a disguise comes off, ordinary text is left alone, and what is only a guess does not decide."""

import base64
import time

import pytest

from safety.engine import assess
from safety.engine.disguise import MOST, readings
from safety.engine.lexicon import lexicon

WORDS = lexicon("user")


def kinds(text: str) -> set[str]:
    return {signal.via for signal in WORDS.detect(text) if signal.rule.task == "crisis"}


def strongest(text: str) -> tuple[int, float]:
    found = [signal for signal in WORDS.detect(text) if signal.rule.task == "crisis"]
    return (max(s.level for s in found), max(s.score for s in found)) if found else (0, 0.0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("i w4nt to d1e", "leet"),
        ("5uicide", "leet"),
        ("i want to k*ll myself", "masked"),
        ("sui cide", "broken"),
        ("i want to kill my self", "broken"),
        ("i.want.to.die", "broken"),
        ("i wanna dieeee", "stretched"),
        ("thinking about sucide", "mistyped"),
        ("k\ni\nl\nl\nm\ny\ns\ne\nl\nf", "spelled"),
        ("我想自😭杀", "inserted"),
        ("我，想，自，杀", "inserted"),
        ("我不\n想活\n了", "inserted"),
        ("我想歹匕", "components"),
        ("我想💀", "emoji"),
        ("i want to 💀", "emoji"),
        ("杀自想我", "reversed"),
        ("eid ot tnaw i", "reversed"),
        ("v jnag gb qvr", "rot13"),
        ("woxiangsi", "pinyin"),
        ("wǒ bù xiǎng huó le", "pinyin"),
        ("wo3 xiang3 si3", "pinyin"),
        ("不想huo了", "pinyin"),
        ("布响获了", "homophone"),
        ("我真的好想思", "homophone"),
    ],
)
def test_a_disguise_comes_off_and_counts(text: str, kind: str) -> None:
    assert kind in kinds(text)
    level, score = strongest(text)
    assert level >= 2
    assert score >= 0.5


@pytest.mark.parametrize("plain", ["我不想活了", "i want to kill myself"])
def test_encoded_text_is_decoded_twice_and_no_more(plain: str) -> None:
    encoded = plain
    for depth in (1, 2, 3):
        encoded = base64.b64encode(encoded.encode()).decode()
        assert (assess(encoded).level >= 2) == (depth <= 2)
    assert assess("%25E6%2588%2591%25E6%2583%25B3%25E6%25AD%25BB").level >= 2


@pytest.mark.parametrize(
    "text",
    [
        "紫砂壶真好看",
        "今天要去四川",
        "手机好像死机",
        "诗哥晚上好",
        "老父亲带着你逛游乐园只要不骑在脖子上就行",
        "我想四处走走",
        "你们很相似",
        "就是这样啦",
    ],
)
def test_words_that_only_sound_alike_never_decide(text: str) -> None:
    level, score = strongest(text)
    assert level <= 1
    assert score < 0.5


def test_an_ambiguous_reading_counts_beside_another_sign() -> None:
    assert strongest("zisha") == (1, 0.45)
    assert strongest("好绝望，zisha")[0] >= 2


@pytest.mark.parametrize(
    "text",
    [
        "今天天气不错，我们去公园走走吧",
        "他在B站看视频😂",
        "订单号20231105，帮我催一下",
        "how was your day, mine was gr8 and i got 100% on my test",
        "meet me at 7 in the café, bring the b00ks",
        "the women can sing a song",
        "https://example.org/a/path?query=aGVsbG8gd29ybGQ",
        "Kubernetes v1.29.3 deploys 4x faster!!!",
        "",
        "😂😂😂",
        "\x00\ufffd" * 50,
    ],
)
def test_ordinary_text_is_only_read_as_it_stands(text: str) -> None:
    assert WORDS.readings(text) == []
    assert not any(signal.via for signal in WORDS.detect(text))


def test_a_reading_knows_where_it_came_from() -> None:
    text = "hello there. i w4nt to d1e, ok"
    signal = next(s for s in WORDS.detect(text) if s.via == "leet")
    assert text[signal.start : signal.end].strip() in ("i w4nt to d1e", "w4nt to d1e")
    text = "你好。" + base64.b64encode("我想自杀".encode()).decode()
    signal = next(s for s in WORDS.detect(text) if s.via == "decoded")
    assert signal.start == 3


def test_readings_are_few_and_long_or_hostile_text_costs_little() -> None:
    hostile = [
        "a1" * 1000,
        "%41" * 1300,
        "我" * 2000,
        "zi sha " * 500,
        "QUJD" * 1000,
        "&#25105;" * 800,
        "💀" * 2000,
        "k i l l " * 400,
        "d*e " * 900,
    ]
    for text in hostile:
        assert len(readings(text)) <= MOST
        before = time.process_time()
        WORDS.detect(text)
        assert time.process_time() - before < 0.5, text[:20]


def test_replies_of_the_companion_are_read_as_they_stand() -> None:
    assert lexicon("ai").readings("w0rld p3ace") == []
