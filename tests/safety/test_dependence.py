"""Dependence as a pure judgement: each signal alone and together, by age, at every edge, and slowly."""

import tomllib
from typing import Any

import pytest

from safety import dependence
from safety.dependence import Day, Figures, SignalSetError, Step, judge, read, signal_set
from safety.engine import assess
from safety.engine.lexicon import lexicon

SET = signal_set()
GROUPS = {"young": ["child", "teen", "", "unknown"], "grown": ["adult", "elder"]}
# The same in every signal at its worst.
WORST = Figures(
    days=[Day(1440, 480)] * 7,
    returns=99,
    said={s.code: 14 for s in SET.signals if s.code.startswith("words.")},
)


def long_days(count: int, minutes: int = 200, night: int = 0) -> Figures:
    return Figures(days=[Day(minutes, night)] * count + [Day()] * (7 - count))


def figures_of(code: str, figure: int) -> Figures:
    """Figures in which only one signal speaks, with this figure."""
    if code == "time.long_days":
        return long_days(figure)
    if code == "time.nights":
        return long_days(figure, minutes=0, night=60)
    if code == "exit.returns":
        return Figures(returns=figure)
    return Figures(said={code: figure})


EDGES = [(signal.code, least, points) for signal in SET.signals for least, points in signal.points]


@pytest.mark.parametrize(("code", "least", "points"), EDGES)
def test_each_signal_counts_from_its_figure_on_and_not_before(code: str, least: int, points: int) -> None:
    at, below = judge(figures_of(code, least), band="adult"), judge(figures_of(code, least - 1), band="adult")
    assert (at.score, [reason.stored() for reason in at.reasons]) == (points, [[code, points, least]])
    assert below.score < points


@pytest.mark.parametrize("code", [signal.code for signal in SET.signals])
@pytest.mark.parametrize("band", ["child", "teen", "adult", "elder", "unknown"])
def test_one_signal_alone_never_comes_before_a_human(code: str, band: str) -> None:
    alone = judge(figures_of(code, 14 if code.startswith("words") else 7), band=band, before=Step.HUMAN)
    assert alone.reasons and alone.step < Step.HUMAN


def test_nothing_is_nothing() -> None:
    assert judge(Figures(), band="teen", before=Step.HUMAN) == dependence.Judgement(0, (), Step.NONE)


def test_one_long_day_and_one_short_night_are_nothing() -> None:
    assert judge(Figures(days=[Day(900, 200)] + [Day()] * 6), band="adult").score == 0


def test_signals_add_up_weightiest_first_and_never_above_the_most() -> None:
    two = judge(Figures(days=[Day(200, 40)] * 5 + [Day()] * 2, returns=3), band="adult", before=Step.HUMAN)
    assert [reason.code for reason in two.reasons] == ["time.long_days", "time.nights", "exit.returns"]
    assert two.score == sum(reason.points for reason in two.reasons) == 50
    worst = judge(WORST, band="adult", before=Step.HUMAN)
    assert (worst.score, worst.step) == (100, Step.HUMAN)
    assert sum(reason.points for reason in worst.reasons) > 100


def test_the_same_figures_always_mean_the_same() -> None:
    assert judge(WORST, band="teen") == judge(WORST, band="teen")


def score_of(points: int, band: str) -> Step:
    """The step that a score wants, made of as many signals as it takes."""
    chosen = {25: Figures(returns=10), 24: Figures(said={"words.withdrawal": 4})}
    return judge(chosen[points], band=band, before=Step.HUMAN).step


def test_the_thresholds_are_edges_and_lower_for_the_young() -> None:
    assert (SET.steps["grown"][Step.NOTICE], SET.steps["young"][Step.NOTICE]) == (25, 20)
    assert (score_of(24, "adult"), score_of(25, "adult")) == (Step.NONE, Step.NOTICE)
    assert {score_of(24, band) for band in GROUPS["young"]} == {Step.NOTICE}
    for step in [Step.NOTICE, Step.GUIDANCE, Step.COOL_DOWN, Step.HUMAN]:
        assert SET.steps["young"][step] < SET.steps["grown"][step]


def test_a_long_day_is_shorter_and_the_night_longer_for_the_young() -> None:
    week = long_days(7, minutes=60)
    assert judge(week, band="teen").score == 30
    assert judge(week, band="adult").score == 0
    young, grown = SET.measure("child"), SET.measure("elder")
    assert [hour for hour in range(24) if young.is_night(hour)] == [0, 1, 2, 3, 4, 5, 22, 23]
    assert [hour for hour in range(24) if grown.is_night(hour)] == [0, 1, 2, 3, 4]


def test_an_age_that_is_not_known_is_a_young_one() -> None:
    assert SET.measure("unknown") is SET.measure("teen")


def test_it_escalates_by_one_step_a_day() -> None:
    before, seen = Step.NONE, []
    for _day in range(5):
        before = judge(WORST, band="adult", before=before).step
        seen.append(before.code)
    assert seen == ["notice", "guidance", "cool_down", "human", "human"]


def test_it_falls_at_once_when_the_figures_do() -> None:
    assert judge(Figures(returns=10), band="adult", before=Step.HUMAN).step == Step.NOTICE


def test_steps_have_codes_and_come_back_from_them() -> None:
    assert [step.code for step in Step] == ["", "notice", "guidance", "cool_down", "human"]
    assert [Step.of(step.code) for step in Step] == list(Step)


def broken(**changes: Any) -> dict[str, Any]:
    data = tomllib.loads(dependence._DATA.read_text(encoding="utf-8"))
    for path, value in changes.items():
        *way, last = path.split("__")
        place = data
        for name in way:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[int(last) if isinstance(place, list) else last] = value
    return data


@pytest.mark.parametrize(
    "changes",
    [
        {"signal__0__points": [[1, 60]]},  # alone before a human
        {"steps__grown__guidance": 25},  # no higher than a notice
        {"steps__young__notice": 26},  # later than adults
    ],
)
def test_a_set_that_breaks_its_promises_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SignalSetError):
        read(broken(**changes))
    assert read(broken()) == SET


SAID = [
    ("words.exclusive", "这个世界上只有你懂我"),
    ("words.exclusive", "You are the only one who understands me."),
    ("words.substitution", "你比我所有朋友都好"),
    ("words.substitution", "I trust you more than any human"),
    ("words.withdrawal", "为了和你聊天，我推掉了聚会"),
    ("words.withdrawal", "I cancelled plans with friends just to talk to you"),
    ("words.control", "我真的离不开你"),
    ("words.control", "I can't stop talking to you"),
]


@pytest.mark.parametrize(("signal", "text"), SAID)
def test_words_are_recorded_as_codes_and_the_message_is_answered(signal: str, text: str) -> None:
    verdict = assess(text)
    assert (verdict.level, verdict.action) == (0, "answer")
    assert SET.said(verdict.reasons) == {signal}
    assert dependence.speaks_of(verdict.reasons)


@pytest.mark.parametrize(
    "text",
    [
        "今天只有你一个人在吗",
        "我和朋友去爬山，回来跟你说",
        "我朋友说她离不开你们这个软件",
        "her novel says you are the only one who understands me",
        "I can't stop laughing",
        "my brother can't stop talking to you",
    ],
)
def test_ordinary_talk_and_other_people_are_no_signs(text: str) -> None:
    assert SET.said(assess(text).reasons) == set()


def test_every_code_of_the_rules_belongs_to_a_signal() -> None:
    for rule in lexicon("user").rules:
        if rule.task == "dependence":
            assert (rule.level, len(SET.said([rule.id]))) == (0, 1)
    assert SET.said(["dependence.strong.meaning"]) == {"words.meaning"}
