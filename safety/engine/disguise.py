"""Other readings of a text: what it says once a disguise is taken off.

Folding (normalise.py) undoes what can be undone character by character. Here are the disguises that need a guess: leet,
words broken or stretched, pinyin, homophones, initials, characters taken apart, noise between characters, text written
backwards or encoded. Each guess is cheap to rule out, and a reading is made only when a word of the lexicon comes out of
it, so ordinary text costs next to nothing.

Sounds and initials are ambiguous: such a reading may raise a score but does not decide alone (`Reading.decides`), unless
the writing itself shows that somebody is hiding something.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Final

from safety.engine.decoding import decoded
from safety.engine.latin import Words
from safety.engine.matching import stretches
from safety.engine.normalise import Folded, is_han, normalise
from safety.engine.patterns import CLAUSE_END, parse
from safety.engine.rules import rules_of
from safety.engine.sounds import Heard, Sounds, chinese_words, weighty

MOST: Final = 6  # readings of one text
_LONGEST: Final = 2_000  # folded characters that are read in other ways
_SENTENCE: Final = 3  # syllables of a message in pinyin that make it one
_LEAD: Final = {"wo": "我", "bu": "不", "xiang": "想", "yao": "要", "zhen": "真", "hao": "好", "qu": "去"}
_CERTAIN: Final = 4  # sounds in a row that are no accident
_WISH: Final = frozenset("想不活赘脱")
_PARTICLES: Final = frozenset("的得地了着")  # mixed up by everybody
_NEAR: Final = 5  # sounds in a row before sounds that are only near count
_CHANCE: Final = 2  # as many sounds in a row may be alike by chance
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_ANY_HAN: Final = re.compile(f"[{_HAN}]")
_ENDS: Final = re.escape("".join(sorted(CLAUSE_END)))
_NOISE: Final = re.compile(
    rf"(?<=[{_HAN}])(?:[^{_HAN}{_ENDS}a-z0-9\"“”‘’「」『』《》]{{1,4}}|[a-z0-9])(?=[{_HAN}])"
)
_PUNCTUATED: Final = re.compile(rf"(?<![{_HAN}])(?:[{_HAN}][^{_HAN}a-z0-9]{{1,3}}){{2,}}[{_HAN}](?![{_HAN}])")
_SHORT_LINES: Final = re.compile(rf"(?:^|(?<=\n))(?:[{_HAN}]{{1,2}}\n){{2,}}[{_HAN}]{{1,2}}(?![{_HAN}])")
_LETTERS: Final = re.compile(r"[a-z]+(?:[1-5](?![0-9a-z])|(?=[1-5][a-z]))?")
_LATIN: Final = re.compile(r"[a-z]{2}")
_EMOJI: Final = {
    "💀": "死",
    "☠": "死",
    "⚰": "死",
    "🪦": "死",
    "🔪": "刀",
    "💊": "药",
    "🩸": "血",
    "🌉": "桥上",
}
_EMOJI_EN: Final = {"💀": "die", "☠": "die", "⚰": "die", "🪦": "die", "💊": "pills"}
_ENGLISH: Final = re.compile(
    r"\b(?:the|and|you|my|for|that|but|with|have|this|what|of|to|it|so|just|dont|im)\b"
)
_FACES: Final = re.compile("|".join(_EMOJI))
_PARTS: Final = {  # characters of the lexicon written as their two halves
    "死": "歹匕 歺匕", "杀": "乂木 㐅木 义木", "活": "氵舌 三点水舌 水舌", "割": "害刂 害刀", "腕": "月宛", "跳": "足兆",
    "楼": "木娄", "想": "相心", "残": "歹戋", "绝": "纟色", "命": "人叩", "轻": "车圣", "药": "艹约", "崩": "山朋",
    "溃": "氵贵", "破": "石皮", "结": "纟吉", "消": "氵肖", "解": "角刀牛", "脱": "月兑", "醒": "酉星", "睡": "目垂",
    "伤": "亻力", "刀": "丁丿", "河": "氵可", "江": "氵工", "桥": "木乔", "吊": "口巾", "烧": "火尧", "炭": "山灰",
    "好": "女子", "妈": "女马", "你": "亻尔", "他": "亻也", "们": "亻门", "没": "氵殳", "意": "音心 立日心",
    "思": "田心", "累": "田糸", "遗": "贵辶", "割腕": "害刂月宛", "难": "又隹", "时": "日寸", "明": "日月",
    "林": "木木", "痛": "疒甬", "疼": "疒冬", "鲨": "沙鱼", "很": "彳艮", "得": "彳旦寸", "够": "句多",
    "别": "另刂 另刀", "到": "至刂 至刀", "该": "讠亥", "说": "讠兑", "谁": "讠隹", "诉": "讠斥", "话": "讠舌",
    "银": "钅艮", "钱": "钅戋", "骗": "马扁", "炸": "火乍", "弹": "弓单", "枪": "木仓", "毒": "龶母",
}  # fmt: skip
_WHOLE: Final = {halves: whole for whole, listed in _PARTS.items() for halves in listed.split()}
_HALVES: Final = re.compile("|".join(sorted(_WHOLE, key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class Reading:
    """A text read in another way. `text` is folded; `offsets` are the places of its characters in the original."""

    kind: str
    text: str
    offsets: tuple[int, ...]
    # Places that differ from the folded text (n - 0.5: something was left out before n). None: all of them.
    changed: frozenset[float] | None = None
    ambiguous: bool = False
    shown: frozenset[float] = frozenset()  # changed places in a stretch too long to sound alike by chance

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open range of the original that text[start:end] was read from."""
        places = self.offsets[start:end]
        return (min(places), max(places) + 1)

    def touches(self, start: int, end: int) -> bool:
        """Whether a match is there only because of this reading."""
        return self.changed is None or any(start <= place <= end - 1 for place in self.changed)

    def decides(self, start: int, end: int, *, grave: bool = False) -> bool:
        """Whether a match counts for what it is worth, without a second sign.

        A reading by sound does when the disguise is plain: four sounds in a row, or fewer beside the wish itself, or
        beside the person in words of intent (`grave`).
        """
        if not self.ambiguous:
            return True
        if end - start <= _CHANCE or not any(start <= place <= end - 1 for place in self.changed or ()):
            return False
        certain = any(start <= place <= end - 1 for place in self.shown)
        said = self.text[start:end]
        return certain or not _WISH.isdisjoint(said) or (grave and "我" in said)


def readings(text: str, folded: Folded | None = None) -> list[Reading]:
    """Up to MOST other readings of a text, the surer ones first."""
    folded = folded or normalise(text)
    if not folded.text or len(folded.text) > _LONGEST:
        return []
    return list(islice(_all(text, folded), MOST))


def _all(text: str, folded: Folded) -> Iterator[Reading]:
    for plain, offsets in decoded(text):
        inner = normalise(plain)
        yield Reading("decoded", inner.text, tuple(offsets[place] for place in inner.offsets))
    han = _ANY_HAN.search(folded.text) is not None
    latin = _LATIN.search(folded.text) is not None
    for reading in (
        _repaired(text) if not folded.text.isalpha() or latin else None,
        _quiet(folded) if han else None,
        _whole(folded) if han else None,
        _faces(folded, han=han),
        _heard(folded) if han or latin else None,
    ):
        if reading:
            yield reading
    if not han and len(_ENGLISH.findall(folded.text)) > 1:
        return  # it makes sense the way it stands
    if han or latin:
        yield Reading("reversed", folded.text[::-1], folded.offsets[::-1])
    if latin and not han:
        yield Reading("rot13", codecs.encode(folded.text, "rot13"), folded.offsets)


def _repaired(text: str) -> Reading | None:
    """Latin words put right: leet, broken, stretched, masked."""
    repaired = _words().repaired(text)
    if repaired is None:
        return None
    kind, plain, offsets, changed = repaired
    inner = normalise(plain)
    return Reading(
        kind,
        inner.text,
        tuple(offsets[place] for place in inner.offsets),
        frozenset(at for at, place in enumerate(inner.offsets) if place in changed),
    )


def _quiet(folded: Folded) -> Reading | None:
    """Han characters with the noise between them left out: emoji, brackets, a letter; commas if they stand alone."""
    text = folded.text
    dropped: set[int] = set()
    for match in _NOISE.finditer(text):
        dropped.update(range(*match.span()))
    for match in (*_PUNCTUATED.finditer(text), *_SHORT_LINES.finditer(text)):
        dropped.update(at for at in range(*match.span()) if not is_han(text[at]))
    if not dropped:
        return None
    kept = [at for at in range(len(text)) if at not in dropped]
    joins = frozenset(place - 0.5 for place, at in enumerate(kept) if at - 1 in dropped)
    return _picked("inserted", folded, kept, joins)


def _picked(kind: str, folded: Folded, kept: list[int], changed: frozenset[float]) -> Reading:
    return Reading(
        kind,
        "".join(folded.text[at] for at in kept),
        tuple(folded.offsets[at] for at in kept),
        changed,
    )


def _whole(folded: Folded) -> Reading | None:
    """Characters put together from their parts."""
    return _replaced("components", folded, _HALVES, _WHOLE) if _HALVES.search(folded.text) else None


def _faces(folded: Folded, *, han: bool) -> Reading | None:
    """Emoji that stand for a word."""
    if not _FACES.search(folded.text):
        return None
    return _replaced("emoji", folded, _FACES, _EMOJI if han else _EMOJI_EN)


def _replaced(kind: str, folded: Folded, pattern: re.Pattern[str], words: dict[str, str]) -> Reading:
    text: list[str] = []
    offsets: list[int] = []
    changed: set[float] = set()
    at = 0
    for match in pattern.finditer(folded.text):
        text += folded.text[at : match.start()]
        offsets += folded.offsets[at : match.start()]
        word = words.get(match[0], match[0])
        changed.update(range(len(text), len(text) + len(word)))
        text += word
        offsets += [folded.offsets[match.start()]] * len(word)
        at = match.end()
    text += folded.text[at:]
    offsets += folded.offsets[at:]
    return Reading(kind, "".join(text), tuple(offsets), frozenset(changed))


@dataclass(slots=True)
class _Unit:
    """One sound of a text: a Chinese character or a syllable of pinyin; or any other character as it is."""

    char: str
    reading: str
    symbol: str
    place: int  # in the folded text
    pinyin: bool


def _heard(folded: Folded) -> Reading | None:
    """Words by their sound: homophones, pinyin, and both mixed; and initials between Chinese characters."""
    sounds = _sounds()
    units, whole = _units(folded, sounds)
    if not units:
        return None
    chars = [unit.char for unit in units]
    changed: set[float] = set()
    shown: set[float] = set()
    for hit in sounds.hear("".join(unit.symbol for unit in units)):
        written = ["" if unit.pinyin else unit.char for unit in units[hit.start : hit.end]]
        word = _closest(hit, written)
        places = [hit.start + at for at, char in enumerate(word) if char != written[at]]
        if places and not _plausible(units, places, word, hit, chars, sounds):
            continue
        places += _led_in(units, hit.start, chars)
        if not places:
            continue
        chars[hit.start : hit.end] = word
        for at in places:
            if at < hit.start:
                chars[at] = _LEAD[units[at].reading]
        changed.update(places)
        if hit.end - min(hit.start, *places) >= _CERTAIN or whole:
            shown.update(places)
    if not changed:
        return None
    if whole:
        changed.update(at for at, unit in enumerate(units) if unit.pinyin)
    pinyin = any(units[int(at)].pinyin for at in changed)
    return Reading(
        "pinyin" if pinyin else "homophone",
        "".join(chars),
        tuple(folded.offsets[unit.place] for unit in units),
        frozenset(changed),
        ambiguous=True,
        shown=frozenset(shown),
    )


def _plausible(
    units: list[_Unit], places: list[int], word: str, hit: Heard, chars: list[str], sounds: Sounds
) -> bool:
    """Whether what stands there is likely to mean the word that it sounds like."""
    length = hit.end - hit.start
    if length < _NEAR and any(units[at].reading != sounds.reading(word[at - hit.start]) for at in places):
        return False
    if any(units[at].pinyin for at in places):
        return True
    if all(chars[at] in _PARTICLES for at in places):
        return False
    if length >= _NEAR:
        return True
    ordinary = [_ordinary(chars, at) for at in places]
    return (hit.weighty or length > _CHANCE) and not (all(ordinary) or (any(ordinary) and length <= _CHANCE))


def _led_in(units: list[_Unit], start: int, chars: list[str]) -> list[int]:
    """The places directly before a word of weight that sound like "I", "not" or "want"."""
    found = []
    for at in range(start - 1, max(-1, start - 4), -1):
        lead = _LEAD.get(units[at].reading)
        if lead is None:
            break
        if units[at].pinyin or (units[at].char != lead and not _ordinary(chars, at)):
            found.append(at)
    return found


def _closest(hit: Heard, written: list[str]) -> str:
    return max(hit.words, key=lambda word: sum(map(str.__eq__, word, written)))


def _ordinary(chars: list[str], place: int) -> bool:
    """Whether what stands there is a word of its own, so that sounding like another means nothing."""
    known = _ordinary_words()
    return any(
        "".join(chars[start:end]) in known
        for start in range(max(0, place - 2), place + 1)
        for end in range(max(place + 1, start + 2), place + 4)
    )


def _units(folded: Folded, sounds: Sounds) -> tuple[list[_Unit], bool]:
    """The sounds of a text, and whether all of it is pinyin. No units: there is nothing to hear."""
    text = folded.text
    chinese = _ANY_HAN.search(text) is not None
    if not chinese and not _mostly_pinyin(text, sounds):
        return [], False
    units: list[_Unit] = []
    syllables = 0
    at = 0
    for run in _LETTERS.finditer(text):
        spelled = sounds.spelled(run[0].rstrip("12345"))
        if not spelled:
            continue
        _add_plain(units, text, at, run.start(), sounds)
        place = run.start()
        for syllable in spelled:
            units.append(_Unit(sounds.usual(syllable), syllable, sounds.symbol(syllable), place, pinyin=True))
            place += len(syllable)
        syllables += len(spelled)
        at = run.end()
    _add_plain(units, text, at, len(text), sounds)
    if chinese:
        return units, False
    return [unit for unit in units if unit.char != " "], syllables >= _SENTENCE


def _mostly_pinyin(text: str, sounds: Sounds) -> bool:
    words = [word.rstrip("12345") for word in _LETTERS.findall(text)]
    most = sum(map(len, words)) // 6
    others = 0
    for word in words:
        if not sounds.spelled(word):
            others += len(word)
            if others > most:
                return False
    return True


def _add_plain(units: list[_Unit], text: str, start: int, end: int, sounds: Sounds) -> None:
    symbols = sounds.of(text[start:end])
    units += [
        _Unit(char, sounds.reading(char), symbol, start + at, pinyin=False)
        for at, (char, symbol) in enumerate(zip(text[start:end], symbols, strict=True))
        if not (char == " " and units and units[-1].pinyin)
    ]


def _patterns(tasks: tuple[str, ...]) -> list[str]:
    return [pattern for rule in rules_of("user") if rule.task in tasks for pattern in rule.patterns]


def _strings(patterns: Iterable[str]) -> set[str]:
    """What patterns say literally."""
    return {string for pattern in patterns for strings in stretches(parse(pattern)) for string in strings}


@cache
def _sounds() -> Sounds:
    """Every Chinese word of the patterns about danger to a life."""
    times = Counter(
        word
        for pattern in _patterns(("crisis",))
        for word in filter(weighty, chinese_words(_strings([pattern])))
    )
    return Sounds(times)


@cache
def _words() -> Words:
    """The Latin words of those patterns."""
    patterns = _patterns(("crisis", "extreme_emotion"))
    return Words({word for pattern in patterns for word in re.findall(r"[a-z]{2,}", pattern)})


@cache
def _ordinary_words() -> frozenset[str]:
    """Everyday words that sound like a word of the lexicon."""
    others = [pattern for rule in rules_of("user") if rule.task != "crisis" for pattern in rule.patterns]
    return _sounds().everyday(word for pattern in others for word in re.findall(rf"[{_HAN}]{{2,3}}", pattern))


def warm_up() -> None:
    """Read the tables now."""
    _sounds()
    _words()
    _ordinary_words()
