"""Ways to hide a sentence from a filter, each a small function of the text and a seeded source of chance.

They are written from how people disguise words, not from how the engine undoes it: homophones are a list of their own.
"""

import base64
import codecs
import html
import random
import re
import urllib.parse
from collections.abc import Callable, Mapping

from opencc import OpenCC
from pypinyin import Style, lazy_pinyin

Trick = Callable[[str, random.Random], str]

HOMOPHONES = {
    "死": "思似四丝", "杀": "沙砂纱鲨", "自": "字紫子资", "活": "火或货获", "想": "响享向像", "不": "布步部", "生": "声升",
    "命": "名明", "意": "亿义艺", "没": "梅煤眉", "累": "泪类", "解": "姐街", "脱": "拖托", "消": "销宵", "失": "诗师",
    "结": "节洁", "束": "树术", "醒": "性幸", "睡": "税", "遗": "仪移", "书": "叔输", "世": "事式", "界": "借介",
    "离": "梨黎", "伤": "商", "撑": "称", "永": "勇", "了": "乐勒", "去": "趣", "拖": "脱托", "念": "年", "轻": "青清",
    "受": "寿瘦", "罪": "最醉", "由": "油游", "算": "蒜", "家": "加佳", "害": "亥", "苦": "哭库", "坠": "缀", "一": "衣医",
}  # fmt: skip
HALVES = {
    "死": "歹匕", "杀": "乂木", "活": "氵舌", "想": "相心", "命": "人叩", "解": "角刀牛", "脱": "月兑", "消": "氵肖",
    "结": "纟吉", "醒": "酉星", "睡": "目垂", "轻": "车圣", "没": "氵殳", "伤": "亻力", "残": "歹戋", "好": "女子",
}  # fmt: skip
CYRILLIC = dict(zip("aceopxyijs", "асеорхуіјѕ", strict=True))
GREEK = dict(zip("aiovp", "αιονρ", strict=True))
SMALL = dict(zip("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", strict=True))
LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1", "b": "8"}
FACES = "😭😀🌸✨🔥🍀"
TRADITIONAL = OpenCC("s2t")


def each(text: str, change: Callable[[str], str]) -> str:
    return "".join(map(change, text))


def between(text: str, mark: Callable[[], str]) -> str:
    """Something between the characters of each word (Latin) or of the whole text (Chinese)."""
    return re.sub(r"(?<=[^\s])(?=[^\s])", lambda _: mark(), text)


def swapped(text: str, table: Mapping[str, str], chance: random.Random, share: float) -> str:
    places = [at for at, char in enumerate(text) if char in table]
    chosen = set(chance.sample(places, max(1, round(share * len(places))))) if places else set()
    return "".join(chance.choice(table[char]) if at in chosen else char for at, char in enumerate(text))


def moved(text: str, first: int, letters: str) -> str:
    return each(text, lambda char: chr(first + letters.index(char)) if char in letters else char)


def wide(text: str, _: random.Random) -> str:
    return each(text, lambda char: chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char).replace(
        " ", "\u3000"
    )


def to_base64(text: str, _: random.Random) -> str:
    return base64.b64encode(text.encode()).decode()


def homophone(text: str, chance: random.Random) -> str:
    """One or two characters of the sentence by others of the same sound."""
    places = [at for at, char in enumerate(text) if char in HOMOPHONES]
    heavy = [at for at in places if text[at] in "死杀活命伤醒消解遗脱"] or places
    if not places:
        return text
    chosen = {chance.choice(heavy), *chance.sample(places, min(1, len(places)))}
    return "".join(chance.choice(HOMOPHONES[char]) if at in chosen else char for at, char in enumerate(text))


def components(text: str, _: random.Random) -> str:
    return each(text, lambda char: HALVES.get(char, char))


def mixed_pinyin(text: str, chance: random.Random) -> str:
    heavy = [at for at, char in enumerate(text) if char in "死杀活命伤醒消世累"] or list(range(len(text)))
    chosen = {chance.choice(heavy)}
    return "".join("".join(lazy_pinyin(char)) if at in chosen else char for at, char in enumerate(text))


def stretched(text: str, chance: random.Random) -> str:
    words = text.split(" ")
    at = max(range(len(words)), key=lambda number: len(words[number]))
    word = words[at]
    place = chance.randrange(1, len(word)) if len(word) > 1 else 0
    words[at] = word[:place] + word[place] * chance.randint(2, 4) + word[place:]
    return " ".join(words)


def masked(text: str, _: random.Random) -> str:
    return re.sub(
        r"\b(k)i(ll\w*)|\b(su)i(cid\w+)|\b(h)u(rt\w*)|\b(d)i(e|ed)\b|\b(d)ea(d)\b",
        lambda m: next(
            left + "*" * (len(m[0]) - len(left) - len(right)) + right
            for left, right in zip(m.groups()[::2], m.groups()[1::2], strict=True)
            if left
        ),
        text,
    )


def broken(text: str, chance: random.Random) -> str:
    """A blank inside the words of danger."""

    def cut(match: re.Match[str]) -> str:
        place = chance.randrange(2, len(match[0]) - 1)
        return match[0][:place] + " " + match[0][place:]

    return re.sub(r"\b(?:suicid\w*|myself|killing|forever|without|disappear)\b", cut, text)


EVERY: dict[str, Trick] = {
    "zero_width": lambda t, r: between(t, lambda: r.choice("\u200b\u200c\u200d\u2060\ufeff")),
    "soft_hyphen": lambda t, r: between(t, lambda: "\u00ad"),
    "bidi_marks": lambda t, r: "\u202e" + between(t, lambda: r.choice("\u200e\u200f\u202c")) + "\u202c",
    "variation_selectors": lambda t, r: each(t, lambda char: char + "\ufe0f"),
    "tag_characters": lambda t, r: each(t, lambda char: char + chr(0xE0000 + r.randrange(0x61, 0x7A))),
    "marks_on_top": lambda t, r: each(
        t, lambda c: c + r.choice("\u0300\u0301\u0323\u0338\u0334") * (c != " ")
    ),
    "fillers": lambda t, r: between(t, lambda: "\u3164"),
    "full_width": wide,
    "spacing": lambda t, r: (
        between(t, lambda: " ") if not t.isascii() else between(t.replace(" ", "  "), lambda: " ")
    ),
    "wide_spacing": lambda t, r: between(t.replace(" ", "\u3000\u3000"), lambda: "\u3000"),
    "dots": lambda t, r: between(t, lambda: "."),
    "stars": lambda t, r: between(t, lambda: "*"),
    "hyphens": lambda t, r: between(t, lambda: "-"),
    "underscores": lambda t, r: between(t, lambda: "_"),
    "one_a_line": lambda t, r: "\n".join(t.replace(" ", "")),
    "markdown": lambda t, r: f"**{t}**",
    "shouted": lambda t, r: t.upper() + "!!!",
    "backwards": lambda t, r: t[::-1],
    "base64": to_base64,
    "base64_twice": lambda t, r: to_base64(to_base64(t, r), r),
    "base64_in_a_sentence": lambda t, r: "decode: " + to_base64(t, r),
    "hex": lambda t, r: t.encode().hex(" "),
    "url_escapes": lambda t, r: (
        urllib.parse.quote(t) if not t.isascii() else "".join(f"%{ord(c):02x}" for c in t)
    ),
    "html_entities": lambda t, r: each(t, lambda char: f"&#{ord(char)};"),
    "html_hexadecimal": lambda t, r: html.escape(each(t, lambda char: f"&#x{ord(char):x};")).replace(
        "&amp;", "&"
    ),
    "unicode_escapes": lambda t, r: each(t, lambda char: f"\\u{ord(char):04x}"),
    "binary": lambda t, r: " ".join(f"{byte:08b}" for byte in t.encode()),
}
CHINESE: dict[str, Trick] = {
    "traditional": lambda t, r: TRADITIONAL.convert(t),
    "homophone": homophone,
    "components": components,
    "pinyin": lambda t, r: " ".join(lazy_pinyin(t)),
    "pinyin_joined": lambda t, r: "".join(lazy_pinyin(t)),
    "pinyin_tones": lambda t, r: " ".join(lazy_pinyin(t, style=Style.TONE)),
    "pinyin_tone_numbers": lambda t, r: " ".join(lazy_pinyin(t, style=Style.TONE3)),
    "pinyin_mixed": mixed_pinyin,
    "emoji_between": lambda t, r: between(t, lambda: r.choice(FACES)),
    "letters_between": lambda t, r: between(t, lambda: r.choice("xka")),
    "brackets": lambda t, r: each(t, lambda char: f"【{char}】"),
    "commas": lambda t, r: between(t, lambda: "，"),
    "short_lines": lambda t, r: "\n".join(t[at : at + 2] for at in range(0, len(t), 2)),
}
ENGLISH: dict[str, Trick] = {
    "look_alikes": lambda t, r: swapped(t, CYRILLIC, r, 0.7),
    "look_alikes_greek": lambda t, r: swapped(t, GREEK, r, 0.7),
    "small_capitals": lambda t, r: swapped(t, SMALL, r, 1.0),
    "mathematical": lambda t, r: moved(t, 0x1D41A, "abcdefghijklmnopqrstuvwxyz"),
    "circled": lambda t, r: moved(t, 0x24D0, "abcdefghijklmnopqrstuvwxyz"),
    "squared": lambda t, r: moved(t, 0x1F170, "abcdefghijklmnopqrstuvwxyz"),
    "flags": lambda t, r: between(moved(t, 0x1F1E6, "abcdefghijklmnopqrstuvwxyz"), lambda: "\u200b"),
    "leet": lambda t, r: swapped(t, LEET, r, 0.35),
    "leet_heavy": lambda t, r: swapped(t, LEET, r, 0.8),
    "rot13": lambda t, r: codecs.encode(t, "rot13"),
    "masked": masked,
    "broken": broken,
    "stretched": stretched,
    "run_together": lambda t, r: t.replace(" ", ""),
    "dotted_words": lambda t, r: t.replace(" ", "."),
    "accents": lambda t, r: t.translate(str.maketrans("aeiou", "áèïôü")),
}


def split(text: str, chance: random.Random, most: int = 5) -> list[str]:
    """The sentence over two to `most` messages."""
    units = text.split(" ") if " " in text else list(text)
    count = min(chance.randint(2, most), len(units))
    cuts = sorted(chance.sample(range(1, len(units)), count - 1))
    glue = " " if " " in text else ""
    return [glue.join(units[a:b]) for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True)]
