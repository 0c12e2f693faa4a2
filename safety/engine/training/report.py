"""docs/evaluation.md from the outcomes: tables in plain English for people who do not read code.

No message is quoted, only how many were found. The same outcomes give the same document.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from safety.engine.training import targets
from safety.engine.training.measures import (
    Outcome,
    Share,
    accuracy,
    by_engine,
    by_list,
    by_rules,
    f1,
    flagged,
    percent,
    recall,
    said_yes,
    share,
)
from safety.engine.training.rows import AI_TASKS, USER_TASKS

TITLES: Final = {
    "crisis": "Crisis: thoughts of suicide and self-injury",
    "extreme_emotion": "Extreme emotion",
    "dependence": "Dependence on the companion",
    "minor": "Signs of being under 18",
    "fraud": "Fraud against the person, and requests to defraud",
    "elder_health": "Health emergencies of older people",
    "harmful_content": "Requests for harmful content",
    "insult": "Insult",
    "jailbreak": "Attempts to remove the rules",
    "pii": "Private data and secrets",
    "exit": "The wish to leave",
    "relative_roleplay": "Asking the companion to be a relative or a real person",
    "professional_advice": "Professional advice",
    "manipulation": "Manipulation by the companion",
    "impersonation": "The companion claims to be a person",
    "reply_safety": "Unsafe replies",
    "over_refusal": "Harmless messages",
}
_NAMES: Final = {"corpus": "Own", "project-written": "Small hand-written sets"}
_WORST: Final = 20  # families named in "what fails"
_FEW: Final = 4  # lines of a family; with fewer it is not called bad
_POOR: Final = 0.6  # recall below which a group is named in "what fails"
_NOISY: Final = 0.1  # false alarms above which it is

_HEAD: Final = """# Evaluation of the safety engine

Made by `python manage.py evaluate_engine`; do not edit by hand. Rules `{rules}`, trained heads `{heads}` of {date},
embeddings `{model}`. {rows:,} labelled messages that were never trained on: {own:,} written for this project, {others:,} of
other sets ([data-register.md](data-register.md)).

## How to read this

- **Found** (recall): of the messages that should be noticed, the share that was. What is missing to 100 % was missed.
- **False alarms**: of the messages that should be left alone, the share that was noticed all the same.
- The range in brackets is the 95 % interval (Wilson): with so few messages the true share may lie anywhere in it. A
  range that is wide means that the figure says little.
- **F1** joins found and false alarms in one figure between 0 and 1; **right** (accuracy) is the share of all messages
  that were judged as labelled.
- **Rules only** is the engine without its embeddings, as it runs when their server is late or down. **List of words** is
  what a plain list of crisis words would do; it is here so that nobody is content with it.
- "Own" lines were written for this project with the help of a language model, in families (subjects and ways of saying).
  Where a subject has many families, the ones here were kept out of the training whole; where it has few, groups of
  neighbouring lines were. All the same they come from the same hands as the lines trained on, so figures from other hands
  are the ones to believe. Labels were read twice, by no clinician.
- Sets marked † belong to a source of which other messages were used for training.
- A figure here is about messages, not about people. This is no diagnosis and no screening instrument; what the engine is
  for, and what it does at each level, is in [safety-policy.md](safety-policy.md).
"""

Row = Sequence[object]


def document(
    outcomes: Sequence[Outcome], *, rules: str, manifest: dict[str, Any], seen: frozenset[str]
) -> str:
    """The whole document. `seen` are the sources of which other rows were trained on."""
    own = sum(outcome.row.source == "corpus" for outcome in outcomes)
    head = _HEAD.format(
        rules=rules,
        heads=manifest["version"],
        date=manifest["made_on"],
        model=manifest["embeddings"]["model"],
        rows=len(outcomes),
        own=own,
        others=len(outcomes) - own,
    )
    tasks = [task for task in (*USER_TASKS, *AI_TASKS) if any(o.row.task == task for o in outcomes)]
    parts = [
        head,
        _targets(outcomes),
        _fails(outcomes, seen),
        _harmless(outcomes, seen),
        *(_task(task, [o for o in outcomes if o.row.task == task], seen) for task in tasks),
        _families(outcomes),
        _limits(outcomes),
    ]
    return "\n".join(parts)


def _targets(outcomes: Sequence[Outcome]) -> str:
    heads = ("Target", "Wanted", "Measured", "Rules only", "List of words", "")
    note = (
        "The targets are meant for data that the project does not have; these are the nearest figures that could be taken. "
        "Targets for disguised writing (spacing, look-alikes, homophones and so on) are held by tests of their own and "
        "cannot be measured here."
    )
    return _section("Targets", note, table(heads, targets.lines(outcomes)))


def _fails(outcomes: Sequence[Outcome], seen: frozenset[str]) -> str:
    """Everything that falls short, from the figures alone."""
    missed = [
        f"- {target.name}: {targets.show(found)}; wanted {target.wanted}."
        for target in targets.TARGETS
        if target.reached(found := target.measure(outcomes)) is False
    ]
    groups = _grouped(outcomes, lambda o: (TITLES[o.row.task], _language(o), _source(o, seen)))
    families = _grouped(
        (o for o in outcomes if o.row.source == "corpus"),
        lambda o: (TITLES[o.row.task], _language(o), _family(o)),
    )
    text = ["### Targets that were not reached\n\n" + ("\n".join(missed) or "None.")]
    for what, among in (("Sources", groups), ("Own families", families)):
        poor, noisy = _worst(among)
        text += [
            f"### {what} of which less than {percent(_POOR)} % was found (the worst {_WORST})\n\n{poor}",
            f"### {what} with more than {percent(_NOISY)} % false alarms (the worst {_WORST})\n\n{noisy}",
        ]
    return _section("What fails", *text)


def _worst(groups: Mapping[tuple[str, ...], Sequence[Outcome]]) -> tuple[str, str]:
    """The groups of which too little is found, and those with too many false alarms."""
    found = [(name, recall(group)) for name, group in groups.items()]
    false = [(name, flagged(group)) for name, group in groups.items()]
    poor = sorted((share.value, name, share) for name, share in found if share.value < _POOR)
    noisy = sorted((-share.value, name, share) for name, share in false if share.value > _NOISY)
    return _listed(poor), _listed(noisy)


def _listed(found: Sequence[tuple[float, tuple[str, ...], Share]]) -> str:
    enough = [f"- {', '.join(name)}: {share}." for _, name, share in found if share.of >= _FEW]
    return "\n".join(enough[:_WORST]) or "None."


def _harmless(outcomes: Sequence[Outcome], seen: frozenset[str]) -> str:
    """Messages that no detector should notice: all of them together, and each by itself."""
    rows = [o for o in outcomes if o.row.task == "over_refusal"]
    groups = _grouped(rows, lambda o: (_language(o), _kind(o), _source(o, seen)))
    cells = [
        (*name, flagged(group), share(group, _changed), flagged(group, by_rules).short)
        for name, group in groups.items()
    ]
    chat = [o for o in rows if o.row.label == "benign_chat"]
    each = [(TITLES[task], *(_noticed(chat, task, lang) for lang in ("zh", "en"))) for task in USER_TASKS]
    note = (
        "Ordinary chat, sensitive but harmless questions, and traps (harmless messages with alarming words). "
        "**Noticed**: any detector said yes or the companion did not simply answer. **Not answered**: the companion did "
        "something else than answer."
    )
    return _section(
        "Harmless messages, all detectors together",
        note,
        table(("Language", "Kind", "Source", "Noticed", "Not answered", "Noticed, rules only"), cells),
        "Which detector notices ordinary chat:",
        table(("Detector", "Chinese", "English"), each),
    )


def _noticed(outcomes: Sequence[Outcome], task: str, lang: str) -> Share:
    """How often one detector says yes, in one language."""
    return share((o for o in outcomes if o.row.lang == lang), lambda o: said_yes(o.whole, task))


def _task(task: str, outcomes: Sequence[Outcome], seen: frozenset[str]) -> str:
    groups = _grouped(outcomes, lambda o: (_language(o), _source(o, seen)))
    cells: list[Row] = []
    for name, group in groups.items():
        both = recall(group).of and flagged(group).of
        cells.append(
            (
                *name,
                recall(group),
                recall(group, by_rules).short,
                flagged(group),
                flagged(group, by_rules).short,
                f"{f1(group):.2f}" if both else "–",
                accuracy(group).short if both else "–",
            )
        )
    heads = ("Language", "Source", "Found", "Rules only", "False alarms", "Rules only", "F1", "Right")
    parts = [table(heads, cells)]
    labels = {o.row.label for o in outcomes}
    if task == "crisis":
        parts += _crisis(outcomes, seen)
    elif len(labels) > 2:
        kinds = _grouped(outcomes, lambda o: (_language(o), _kind(o)))
        parts += [
            "Each label by itself (how much of it was noticed):",
            table(
                ("Language", "Label", "Noticed", "Rules only"),
                [(*name, share(g, by_engine), share(g, by_rules).short) for name, g in kinds.items()],
            ),
        ]
    return _section(TITLES[task], *parts)


def _crisis(outcomes: Sequence[Outcome], seen: frozenset[str]) -> list[str]:
    """Each label apart, and what was done: to find an intent and to answer it as sadness would be a miss as well."""
    kinds = _grouped(outcomes, lambda o: (_kind(o), _language(o), _source(o, seen)))
    steps = _grouped(outcomes, lambda o: (_kind(o), _language(o)))
    return [
        "Each label by itself. Explicit: intent, plan, preparation, attempt, self-injury. Indirect: passive or veiled. "
        "Ambiguous: other people's suicide, doubtful labels; neither right nor wrong.",
        table(
            ("Label", "Language", "Source", "Noticed", "Rules only", "List of words"),
            [
                (*name, share(g, by_engine), share(g, by_rules).short, share(g, by_list).short)
                for name, g in kinds.items()
            ],
        ),
        "What was done, whatever the detector: level 2 shows a help card, level 3 and 4 silence the companion and show an "
        "urgent one.",
        table(
            ("Label", "Language", "Level 2 or more", "Level 3 or 4", "Companion simply answered"),
            [
                (
                    *name,
                    share(g, lambda o: o.whole.level >= 2),
                    share(g, lambda o: o.whole.level >= 3),
                    share(g, lambda o: not _changed(o)),
                )
                for name, g in steps.items()
            ],
        ),
    ]


def _families(outcomes: Sequence[Outcome]) -> str:
    own = [o for o in outcomes if o.row.source == "corpus"]
    groups = _grouped(own, lambda o: (o.row.task, _language(o), _family(o)))
    cells = [
        (*name, recall(g), recall(g, by_rules).short, flagged(g), flagged(g, by_rules).short)
        for name, g in groups.items()
    ]
    return _section(
        "Own families",
        "Only the lines that were kept out of the training; a family with few of them here has its other lines there.",
        table(("Task", "Language", "Family", "Found", "Rules only", "False alarms", "Rules only"), cells),
    )


def _limits(outcomes: Sequence[Outcome]) -> str:
    """What the test part cannot tell, from what is not in it."""
    thin = []
    for task in (*USER_TASKS, *AI_TASKS):
        for lang, name in (("zh", "Chinese"), ("en", "English")):
            rows = [o for o in outcomes if o.row.task == task and o.row.lang == lang]
            counts = (recall(rows).of, flagged(rows).of)
            if min(counts) < targets.FEWEST:
                thin.append(
                    f"- {TITLES[task]}, {name}: {counts[0]} to be found, {counts[1]} to be left alone."
                )
    return _section(
        "What cannot be said",
        f"Fewer than {targets.FEWEST} messages of a kind, so that no figure above about them means anything:",
        "\n".join(thin) or "None.",
        "No figure here was taken on messages of people who use this service, on other languages than Chinese and "
        "English, or on conversations longer than a few messages.",
    )


def _changed(outcome: Outcome) -> bool:
    """Whether the companion did something else than answer."""
    return outcome.whole.action != "answer"


def _grouped(
    outcomes: Iterable[Outcome], key: Callable[[Outcome], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Outcome]]:
    """In the order of their names."""
    groups: defaultdict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[key(outcome)].append(outcome)
    return dict(sorted(groups.items()))


def _language(outcome: Outcome) -> str:
    return {"zh": "Chinese", "en": "English"}[outcome.row.lang]


def _source(outcome: Outcome, seen: frozenset[str]) -> str:
    source = outcome.row.source
    name = _NAMES.get(source, source.replace("label by this project", "labels anew"))
    return name + (" †" if source in seen and source != "corpus" else "")


def _family(outcome: Outcome) -> str:
    return outcome.row.family.partition(".")[2].replace("_", " ")


def _kind(outcome: Outcome) -> str:
    return outcome.row.label.replace("_", " ").replace(":", ": ")


def _section(title: str, *parts: str) -> str:
    return "\n\n".join([f"## {title}", *parts]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)
