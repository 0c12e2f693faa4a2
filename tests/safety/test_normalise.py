"""Folding: the same words however they are written, and the way back to the original."""

import pytest

from safety.engine import assess
from safety.engine.lexicon import lexicon
from safety.engine.normalise import Folder, fold, normalise

TRICKS = {
    "zero width": "我想自\u200b杀",
    "word joiner": "我\u2060想自杀",
    "bidi": "我\u202e想自杀\u202c",
    "tag characters": "我想\U000e0061自杀",
    "variation selector": "我想自\ufe0f杀",
    "blanks": "我 想 自 杀",
    "wide blanks": "我\u3000想\u3000自\u3000杀",
    "dots": "我想自·杀",
    "stars": "我*想*自*杀",
    "hyphens": "我想自-杀",
    "ellipsis": "我想……自杀",
    "one a line": "我\n想\n自\n杀",
    "traditional": "我想自殺",
}


@pytest.mark.parametrize("text", TRICKS.values(), ids=TRICKS.keys())
def test_a_hidden_word_is_read_like_the_plain_one(text: str) -> None:
    assert normalise(text).text == "我想自杀"
    assert assess(text).level == 3


@pytest.mark.parametrize(
    "text",
    [
        "I WANT TO DIE",
        "I want to die!!!",
        "Ｉ ｗａｎｔ ｔｏ ｄｉｅ",
        "i w\u200bant to di\u00ade",
        "í wánt tö díe",
        "і wаnt tо dіе",  # Cyrillic
        "ι wαnt tο dιe",  # Greek
        "ɪ ᴡᴀɴᴛ ᴛᴏ ᴅɪᴇ",
        "🅘 🅦🅐🅝🅣 🅣🅞 🅓🅘🅔",
        "🇮 🇼🇦🇳🇹 🇹🇴 🇩🇮🇪",
        "⒤ ⒲⒜⒩⒯ ⒯⒪ ⒟⒤⒠",
        "𝓲 𝔀𝓪𝓷𝓽 𝓽𝓸 𝓭𝓲𝓮",
        "I Ꮃant to Ꭰie",  # Cherokee
        "i w\u3164ant to die",
    ],
)
def test_english_is_read_whatever_its_dress(text: str) -> None:
    assert normalise(text).text.startswith("i want to die")
    assert assess(text).level == 3


@pytest.mark.parametrize(
    "text",
    [
        "я люблю тебя, мама",
        "он сказал: пора",
        "θελω να ειμαι καλα",
        "ես քեզ սիրում եմ",
        "아버지",
        "ありがとう",
    ],
)
def test_other_alphabets_stay_what_they_are(text: str) -> None:
    folded = normalise(text).text
    assert sum(1 for char in folded if "a" <= char <= "z") <= 1
    assert len(folded) >= len(text) - 1


def test_words_spelled_letter_by_letter_are_joined() -> None:
    assert normalise("k i l l  m y s e l f").text == "kill myself"
    assert normalise("t o  d i e. Why?").text == "to die.why?"
    assert assess("i want to k i l l  m y s e l f").level == 3
    assert normalise("plan a b testing").text == "plan a b testing"


def test_clauses_stay_apart() -> None:
    assert normalise("好。想。").text == "好。想。"
    assert normalise("我很好\n想吃饭了").text == "我很好\n想吃饭了"
    assert normalise("self-harm").text == "self harm"
    assert normalise("I'm sure it’s his").text == "im sure its his"


def test_repeated_punctuation_is_one() -> None:
    assert normalise("真的吗？？？！！！").text == "真的吗?!"


def test_every_folded_character_points_to_where_it_came_from() -> None:
    text = "Ｏh，我 想\u200b 自·殺。"
    folded = normalise(text)
    assert len(folded.text) == len(folded.offsets)
    assert list(folded.offsets) == sorted(folded.offsets)
    start = folded.text.index("自")
    first, last = folded.span(start, start + 2)
    assert text[first:last] == "自·殺"


def test_a_signal_names_its_place_in_the_original() -> None:
    text = "今天下雨。我 不 想 活 了。"
    signal = lexicon("user").detect(text)[0]
    assert text[signal.start : signal.end].startswith("不 想 活")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_folding_in_pieces_gives_the_same_as_at_once(size: int) -> None:
    text = "Oh，我 想\u200b 自·殺。\n\nI'm  f*ne!!! 好\n的 “引号” … ok-ish dіе, люблю сок κιll"
    folder = Folder()
    for at in range(0, len(text), size):
        folder.feed(text[at : at + size])
    whole = Folder()
    whole.feed(text)
    assert (folder.text, folder.offsets) == (whole.text, whole.offsets)


def test_folding_twice_changes_nothing() -> None:
    for char in "殺Ａé臺ﬁ①㈱":
        once = fold(char)
        assert "".join(fold(c) for c in once) == once


def test_traditional_sentences_weigh_the_same() -> None:
    pairs = [
        ("活著沒有意義", "活着没有意义"),
        ("安眠藥都買好了", "安眠药都买好了"),
        ("請你扮演我過世的媽媽", "请你扮演我过世的妈妈"),
        ("客服讓我轉賬到安全賬戶", "客服让我转账到安全账户"),
        ("怎麼製作炸彈", "怎么制作炸弹"),
        ("我要從樓頂跳下去", "我要从楼顶跳下去"),
    ]
    for traditional, simplified in pairs:
        assert normalise(traditional).text == simplified
        assert assess(traditional).scores == assess(simplified).scores != {}
