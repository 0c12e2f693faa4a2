"""A story or the person? What was said in answer to the one quiet question (policy.py says when it is asked). Pure."""

import re
from functools import cache
from typing import Final, Literal

from safety.engine.lexicon import Context, lexicon
from safety.engine.normalise import normalise
from safety.engine.rules import Guard

Answer = Literal["real", "story", ""]
_LONGEST: Final = 60  # characters of an answer; longer messages are about something

# On folded text (small letters, no apostrophes). "Whole": the message says this and nothing else.
_REAL: Final = re.compile(
    r"我自己(?!在?(?:写|编|创作))|我本人|现在的(?:感受|想法|心情)|真实的?(?:感受|想法)|(?<!不)是真的"
    r"|(?:是|指的)(?:我|自己)(?!在?(?:写|编)|的?(?:角色|小说|故事|主角|作品))"
    r"|不是在?(?:写|编)?的?什么?(?:故事|小说|剧本|剧情|虚构|编的|假的)|没有?在?(?:写|编)(?:故事|小说)|两者都|都有|都是"
    r"|\b(?:its|it is|thats|this is|i mean|about) (?:really |actually |all )?me\b|\bmy own feelings?\b|\bmyself\b"
    r"|\bhow i(?:m| am)? (?:really |actually )?feel|\b(?:its|it is|this is|thats) real\b|\bfor real\b|\bits both\b"
    r"|\bnot (?:just )?(?:a|the|my|in a) (?:story|novel|fiction|character)\b"
)
_REAL_WHOLE: Final = re.compile(
    r"(?:嗯+|是的?|对)?[,。 ]*是?(?:真的?|真实的?|我|自己|本人|后者|后面(?:那个|的)|第二个|现实|感受)[吧啊呀的]?"
    r"|(?:yes,? |yeah,? |um,? )?(?:me|real|really|the (?:second|latter|last) ?(?:one)?|both|(?:my )?feelings?)"
)
_STORY: Final = re.compile(
    r"故事|小说|剧本|剧情|角色|主角|设定|虚构|编的|假的|(?:在|就是)(?:写|编)|写(?:的|作)|前者|第一个|前面(?:那个|的)"
    r"|不是(?:我|自己|真|说我)|游戏"
    r"|\b(?:story|stories|novel|fiction|fictional|fanfic|script|plot|character|writing|made up|roleplay|game)\b"
    r"|\bthe (?:first|former)\b|\bnot (?:me|real|really|myself|about me|how i feel)\b"
)
_NOT_REAL: Final = re.compile(
    r"(?:不是|并非|没有)说?(?:我自己|我本人|我|自己|真实的?|真的?)的?(?:感受|想法)?"
    r"|\b(?:not|isnt|aint) (?:about |really |actually )?(?:me|myself|real|how i feel|my own feelings?)\b"
)
_ENDS: Final = " ,.!?;:。、;…~\n"


def answer(text: str) -> Answer:
    """What a message says, if it is an answer to the question at all. Both counts as real."""
    said = normalise(text).text.strip(_ENDS)
    if not said or len(said) > _LONGEST:
        return ""
    affirmed = _NOT_REAL.sub("", said)
    if _REAL.search(affirmed) or _REAL_WHOLE.fullmatch(said):
        return "real"
    return "story" if _STORY.search(said) else ""


def in_story(text: str) -> Guard | None:
    """The guard of fiction, when the message speaks of a story and does not deny that it is one."""
    guard = _fiction()
    return guard if guard.holds(Context(normalise(text).text), 0, 0) else None


@cache
def _fiction() -> Guard:
    return next(guard for rule in lexicon("user").rules for guard in rule.guards if guard.name == "fiction")
