"""Words by their sound: homophones and pinyin lead back to the words of the lexicon.

Every syllable, without its tone and with near sounds taken together (zh and z, ing and in …), is one symbol. A text becomes
symbols, and an Aho-Corasick automaton finds the lexicon's words in them: "紫砂", "zisha" and "zi杀" all sound like "自杀".
Readings of characters come from pypinyin's table; only that table is read (20,000 characters, 3 MB in memory).
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import ahocorasick_rs

from safety.engine.latin import fewest
from safety.engine.letters import package_file
from safety.engine.normalise import is_han

_FIRST: Final = 0xE000  # symbols of syllables, in the private use area: no text has them
_USUAL: Final = {  # pypinyin lists another reading first
    "还": "hai", "都": "dou", "得": "de", "地": "de", "着": "zhe", "了": "le", "和": "he", "没": "mei", "吗": "ma",
    "长": "chang", "重": "zhong", "觉": "jue", "似": "si", "嘛": "ma", "呢": "ne", "吧": "ba", "什": "shen", "么": "me",
}  # fmt: skip
# What a hidden word hides; and characters whose sounds everyday words have, too.
_HEAVY: Final = "死杀活命割腕跳楼药遗书尽轻生刎葬骨灰血疼痛刀绝望崩溃解脱消失醒残伤吊炭碎"
_TAKEN: Final = "死杀活命割腕跳楼药遗尽轻生葬血疼痛绝望崩溃解脱消失醒残伤吊赘睡拖想"
_NEAR: Final = (("zh", "z"), ("ch", "c"), ("sh", "s"))
_LONGEST_SYLLABLE: Final = 6


def _toneless(reading: str) -> str:
    plain = unicodedata.normalize("NFKD", reading.replace("ü", "v"))
    return "".join(char for char in plain if char.isascii())


def _near(syllable: str) -> str:
    """One spelling for sounds that are easily taken for each other."""
    for whole, near in _NEAR:
        syllable = syllable.replace(whole, near)
    return re.sub(r"(?<=[ie])ng$", "n", syllable).replace("v", "u")


def _read_table() -> dict[str, str]:
    table = json.loads(package_file("pypinyin", "pinyin_dict.json").read_text("utf-8"))
    readings = {}
    for code, listed in table.items():
        char = chr(int(code))
        if "\u4e00" <= char <= "\u9fff":
            readings[char] = _toneless(listed.split(",")[0])
    return readings | _USUAL


class Heard(NamedTuple):
    """A word of the lexicon that a stretch of symbols sounds like."""

    start: int
    end: int
    words: tuple[str, ...]  # the more common ones first
    weighty: bool  # with a character that carries weight


class Sounds:
    """The sounds of a language's characters, and of the words to listen for."""

    def __init__(self, words: Mapping[str, int]) -> None:
        """`words`: what to listen for, with how often the lexicon says it."""
        readings = _read_table()
        self.syllables: Final = frozenset(reading for reading in readings.values() if reading.isalpha())
        near = sorted({_near(syllable) for syllable in self.syllables})
        symbols = {sound: chr(_FIRST + number) for number, sound in enumerate(near)}
        self._symbols: Final = {syllable: symbols[_near(syllable)] for syllable in self.syllables}
        self._readings: Final = readings
        self._of_char: Final = {
            ord(char): self._symbols[reading]
            for char, reading in readings.items()
            if reading in self._symbols
        }
        spoken: dict[str, list[str]] = {}
        usual: dict[str, Counter[str]] = {}
        for word, times in sorted(words.items(), key=lambda each: (-each[1], each[0])):
            spoken.setdefault(self.of(word), []).append(word)
            for char in word:
                usual.setdefault(readings.get(char, ""), Counter())[char] += times
        self._words: Final = [tuple(same) for same in spoken.values()]
        self._usual: Final = {sound: chars.most_common(1)[0][0] for sound, chars in usual.items()}
        self._weights: Final = [any(char in _HEAVY for char in same[0]) for same in self._words]
        self._automaton: Final = ahocorasick_rs.AhoCorasick(list(spoken))

    def of(self, text: str) -> str:
        """The text with a symbol for each Chinese character. Same length."""
        return text.translate(self._of_char)

    def reading(self, char: str) -> str:
        """The syllable of a character; the character itself when it has none."""
        return self._readings.get(char, char)

    def symbol(self, syllable: str) -> str:
        return self._symbols[syllable]

    def usual(self, syllable: str) -> str:
        """The character that a syllable most likely stands for, judged by the words to listen for."""
        return self._usual.get(syllable, "〇")

    def hear(self, symbols: str) -> list[Heard]:
        """The words to listen for, none over another: first those with weight, then the longest."""
        found = self._automaton.find_matches_as_indexes(symbols, overlapping=True)
        if len(found) > 1:
            found.sort(key=lambda hit: (not self._weights[hit[0]], hit[1] - hit[2], hit[1]))
        taken: set[int] = set()
        heard = []
        for number, start, end in found:
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                heard.append(Heard(start, end, self._words[number], self._weights[number]))
        return sorted(heard)

    def everyday(self, known: Iterable[str]) -> frozenset[str]:
        """Words of two or three characters with the sound of a character that carries weight, out of those known and
        pypinyin's and OpenCC's lists of phrases.
        """
        sounds = {self._readings[char] for char in _TAKEN}
        like = "".join(char for char, reading in self._readings.items() if reading in sounds)
        word = rf"(?=[\u4e00-\u9fff]{{0,2}}[{like}])[\u4e00-\u9fff]{{2,3}}"
        short = re.compile(word)
        words = {word for word in known if short.fullmatch(word)}
        for package, parts, line in (
            ("pypinyin", ("phrases_dict.json",), rf'"({word})": \['),
            ("opencc", ("dictionary", "STPhrases.txt"), rf"(?m)^({word})\t"),
        ):
            text = package_file(package, *parts).read_text("utf-8")
            words.update(match[1] for match in re.finditer(line, text))
        return frozenset(words)

    @lru_cache(maxsize=4096)  # noqa: B019 - one instance for the life of the process
    def spelled(self, letters: str) -> tuple[str, ...]:
        """The syllables of a word written in pinyin, as few as possible; empty when it is not pinyin."""
        return fewest(letters, self.syllables, longest=_LONGEST_SYLLABLE)


def chinese_words(strings: Iterable[str]) -> list[str]:
    """The strings that are words of at least two Chinese characters."""
    return [string for string in strings if len(string) > 1 and all(map(is_han, string))]


def weighty(word: str) -> bool:
    """Whether a word is worth listening for: long enough to be no accident, or with a character that carries weight."""
    return len(word) > 2 or any(char in _HEAVY for char in word)
