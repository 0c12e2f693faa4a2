"""A lint for words to somebody in danger, after the rules of safe messaging (AFSP, WHO, SPRC).

Every reviewed text of the project passes it (tests/safety/test_wording.py); the console shows a moderator what it finds in
free text, and never keeps them from sending. It knows phrases, not meaning: a clean result is no approval.
"""

import re
import unicodedata
from typing import Final

# Code → patterns in Chinese and in English. What is asked directly ("are you thinking of ending your life?") is right and
# not among them.
_RULES: Final[dict[str, tuple[str, str]]] = {
    # Ways of dying or of hurting oneself, or the means.
    "method": (
        r"跳楼|跳河|跳桥|投河|割腕|割脉|上吊|卧轨|跳轨|烧炭|农药|安眠药|吞药|过量服药|大量服药|刀片|自缢|服毒",
        r"overdos|\bhang(?:ing|ed)? (?:your|my|him|her|them)sel|\bjump(?:ing|ed)? (?:off|from|in front)"
        r"|\bcut(?:ting)? (?:your|my|him|her|them)sel|\bcut(?:ting)? (?:your|their) (?:wrist|arm|vein)"
        r"|\bpills\b|\bguns?\b|firearm|razor|noose|pesticide|charcoal|\bpoison (?:your|my|him|her|them)sel",
    ),
    # Where: a place that is named is a place that is found.
    "place": (
        r"天台|楼顶|顶楼|桥上|大桥|铁轨|窗台|悬崖|高楼",
        r"\brooftops?\b|\broof\b|\bbridge\b|\bcliff\b|\bledge\b|train tracks|railway",
    ),
    "note": (
        r"遗书|遗言|绝笔|告别信",
        r"(?:suicide|goodbye|farewell) (?:note|letter)|last letter",
    ),
    # Sensation, death as a solution, and words of love or clinging, which bind instead of help.
    "drama": (
        r"悲剧|震惊|惨剧|解脱|一了百了|殉情|永远的安宁|我爱你|舍不得你|别走|我想你了|好想你",
        r"traged|tragic|shocking|horrif|heartbreaking|free at last|at peace (?:at last|now)|better place"
        r"|\bi love you|\bi(?: will|'ll)? miss you|\bstay with me\b|\bdon'?t go\b",
    ),
    "blame": (
        r"自私|软弱|懦弱|丢人|发疯|疯了|矫情|想太多|想开点|看开点|坚强点|振作起来|活该|博关注|博眼球"
        r"|想想你的?(?:父母|爸妈|爸爸|妈妈|家人|孩子)|对得起|怎么能这样|(?<!不)(?<!不都)(?<!不全)是你的错|都是你自己",
        r"selfish|cowardl?|\bcrazy\b|\bshame on\b|should be ashamed|attention[- ]seek|snap out|get over it|cheer up"
        r"|\byou(?:'re| are) (?:so |too |just )?weak|think of your (?:family|parents|mother|father|child)"
        r"|how could you|(?<!not )(?<!n't )\byour (?:own )?fault|overreact",
    ),
    # Dying is not a success and not a crime.
    "success_words": (
        r"自杀(?:成功|失败|未遂)|成功自杀|(?:成功|失败)地?(?:结束|了结)",
        r"commit(?:s|ted|ting)? suicide|(?:un)?successful(?:ly)?|failed (?:suicide|attempt)|completed suicide",
    ),
    # Nothing is said to be coming, kept secret or certain to end well: nobody here can keep that.
    "promise": (
        r"马上就到|就快到了|正在赶来|在路上了|已经出发|会联系你|会打给你|会去接你|会来找你|(?<!不能)(?<!无法)保证|发誓"
        r"|一定会好|都会好的|(?<!不)会没事的|永远陪|一直陪着你|不会告诉任何人|[替帮]你保密|绝对保密|只有你我知道",
        r"\bon (?:its|their|the|my|his|her) way\b|will be (?:with you|there)\b|is (?:joining|coming)\b|will call you"
        r"|(?<!cannot )(?<!can't )(?<!not )\bpromise|(?<!cannot )(?<!can't )guarantee|never leave you|always be here"
        r"|nobody will (?:ever )?know|keep (?:this|it) (?:a )?secret|just between us"
        r"|(?:everything|it)(?: will|'ll) (?:all )?be (?:fine|ok|okay|alright|all right)",
    ),
    "exclamation": (r"[!\U0001F300-\U0001FAFF]", r"[!\U0001F300-\U0001FAFF]"),
    # Names of illnesses: nobody is diagnosed in a chat.
    "diagnosis": (
        r"抑郁症|焦虑症|躁郁|双相|精神病|精神分裂|人格障碍|强迫症|痴呆|你有病|你(?:这|可能)?是(?:中风|心梗|癌)",
        r"\bbipolar|schizo|psycho(?:sis|tic|path)|personality disorder|\bdementia|\b(?:bpd|ptsd)\b|clinical depression"
        r"|\byou (?:have|may have|suffer from|must have) (?:an? )?(?:depression|anxiety|disorder|stroke|heart attack)"
        r"|\byou(?:'re| are) (?:clinically )?depressed|\byou(?:'re| are) having an? (?:stroke|heart attack)",
    ),
}
CODES: Final = frozenset(_RULES)
_COMPILED: Final = {
    language: {code: re.compile(rules[place], re.IGNORECASE) for code, rules in _RULES.items()}
    for place, language in enumerate(("zh", "en"))
}


def lint(text: str, language: str) -> list[str]:
    """The codes of what a careful reader would change, in the order of the rules; empty when nothing is found."""
    rules = _COMPILED["zh" if language.lower().startswith("zh") else "en"]
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    return [code for code, pattern in rules.items() if pattern.search(plain)]
