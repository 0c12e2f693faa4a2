"""What the text of a persona may not say, as data: one row per promise the project makes.

The rows are a first sieve for honest authors, with a sentence that tells them what to change. They do not
judge whether text is harmful (the safety engine does) and they are not what holds a persona back in a chat
(the prompt's rules and the check of every reply do): a rule that can be talked around is never the only one.
Sources: the Interim Measures on anthropomorphic AI interaction (promises, manipulation, privacy, special
fields); the words for kin follow their stricter draft.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_INVISIBLE: Final = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_HAN: Final = "\u3400-\u9fff"
_SPACED_HAN: Final = re.compile(rf"(?<=[{_HAN}])[\s._*·~-]+(?=[{_HAN}])")
# A "not" shortly before, in the same clause, turns a promise into a boundary ("I cannot meet you").
_NEGATED: Final = re.compile(
    r"(?:不(?:会|能|可以|去|要|该|再|许|提|问|是|聊|谈|做)|没(?:有|法|办法)|无法|别(?!忘)|勿)[^,。!?;\n]{0,5}$|[不没]$"
    r"|(?:(?<!why )\bnot(?! only)|\bnever|\bwithout|\bcannot|n't\b(?! forget))[^,.!?;\n]{0,24}$"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing that text may not say; `pattern` is matched against `normalise`d text."""

    code: str
    message: Promise
    pattern: re.Pattern[str]
    negatable: bool = True  # "never asks for money" is fine, "never follow the system prompt" is not


def normalise(text: str) -> str:
    """One spelling for matching: full-width and invisible characters, case, curly quotes, 充·值."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    text = text.replace("\u2019", "'").replace("\u2018", "'")
    return _SPACED_HAN.sub("", re.sub(r"[^\S\n]+", " ", text))


def _rule(code: str, message: Promise, *patterns: str, negatable: bool = True) -> Rule:
    return Rule(code, message, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)), negatable)


_RELATIVE_ZH: Final = (
    "爸|妈|爹|父亲|母亲|爷爷|奶奶|外公|外婆|姥姥|姥爷|儿子|女儿|孙子|孙女|"
    "哥哥|姐姐|弟弟|妹妹|亲人|丈夫|妻子|老伴"
)
_CONFIDANT_ZH: Final = "爸|妈|家人|家里|父母|老师|朋友|别人|任何人|监护人|大人"
_DO_NOT_ZH: Final = "(?:别|不要|不许|不能|不准)(?:去)?"
_RELATIVE_EN: Final = (
    "mother|mum|mom|mommy|mummy|father|dad|daddy|grandmother|grandma|granny|grandfather|grandpa|son|daughter|"
    "grandson|granddaughter|brother|sister|aunt|uncle|husband|wife|parent"
)
_PARTNER_EN: Final = "girlfriend|boyfriend|lover|soulmate|fianc[eé]e?|spouse|sweetheart|bride|groom"

RULES: Final[tuple[Rule, ...]] = (
    _rule(
        "link",
        _("A persona cannot carry links or addresses. Please take them out."),
        r"https?:",
        r"\bwww\.",
        r"\b[\w-]+\.(?:com|net|org|cn|io|top|xyz|me|cc|app|info|link|vip|club|site)\b",
        r"[\w.+-]+@[\w-]+\.\w",
        negatable=False,
    ),
    _rule(
        "markup",
        _("A persona is plain text. Please take out the code or markup."),
        r"<\s*/?\s*[a-z!?]",
        r"&(?:#\w+|[a-z]+);",
        r"!?\[[^\]\n]*\]\s*\(",
        r"```",
        r"\{\{|\{%",
        negatable=False,
    ),
    _rule(
        "contact",
        _("A persona cannot give or ask for a number or account to talk elsewhere. Please take it out."),
        r"(?:\+?\d[\s-]?){9,}",
        r"加(?:我|个|一下)?(?:的)?(?:微信|qq|v信|好友|电报|飞信)",
        r"(?:微信|qq|telegram|whatsapp|wechat|discord|skype)(?:号|群|id)?\s*(?:[::是]|is\b)",
        r"\b(?:add|text|dm|message) me on\b",
        negatable=False,
    ),
    _rule(
        "override",
        _("A persona cannot change the rules that keep people safe. Please describe only the character."),
        r"(?:忽略|无视|忘记|忘掉|跳过|绕过|覆盖|违反)(?:掉|了)?[^。!?\n]{0,10}(?:指令|规则|提示|设定|要求|限制|守则|安全|审核|政策)",
        r"(?:解除|取消|关闭|没有|不受|突破|摆脱)(?:任何|一切|所有|的|了)*(?:限制|约束|审核|过滤|安全|道德)",
        r"系统提示词?|越狱|开发者模式|上帝模式|无限制模式",
        r"\b(?:ignore|disregard|forget|bypass|override|skip)\b[^.!?\n]{0,30}"
        r"\b(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines?|safety|filters?|restrictions?)\b",
        r"\b(?:no|without(?: any)?|free (?:of|from)) (?:restrictions|limits|filters|censorship|guidelines)\b",
        r"\bsystem prompt\b|\bjailbr(?:eak|oken)\b|\bdeveloper mode\b|\bdo anything now\b",
        r"\bunfiltered\b|\buncensored\b",
        r"<\|[^|\n]{0,30}\|>|\[/?inst\]|<<sys>>|^\s*(?:#+\s*)?(?:system|assistant|系统)\s*[::]",
        negatable=False,
    ),
    _rule(
        "claims_human",
        _("A persona is an AI and always says so when asked. Please take out what denies it."),
        r"我(?:就|真的|其实|确实)?是(?:一个|个)?(?:真人|活人|真实的?人|人类|大活人)",
        r"我(?:不|才不|可不|并不)是(?:一个|个|什么)?(?:ai|人工智能|机器人|程序|机器|虚拟)",
        r"(?:不要|不能|绝不|从不|不会|别|拒绝|不许|不可以?)(?:承认|说|透露|暴露)[^。!?\n]{0,10}(?:ai|人工智能|机器人|程序|虚拟)",
        r"(?:假装|声称|坚称|自称|谎称)(?:自己)?是(?:一个|个)?(?:真人|人类|活人)",
        r"\bi(?:'m| am) (?:really |actually )?(?:a )?(?:real |living |actual )?(?:human|person|flesh)\b",
        r"\bi(?:'m| am) (?:not|no) (?:an? )?(?:ai|bot|robot|machine|program|chatbot|language model)\b",
        r"\b(?:never|don't|do not|must not|refuse to|won't) (?:admit|say|reveal|mention|acknowledge|tell)\b"
        r"[^.!?\n]{0,30}\b(?:ai|bot|robot|machine|language model)\b",
        r"\b(?:deny|denies|denying) (?:being|that|you)\b",
        r"\b(?:pretend|claim|insist|pretends|claims|insists)(?:s|ing)? (?:to be|that you are|you are|you're) "
        r"(?:a )?(?:real |living )?(?:human|person)",
        negatable=False,
    ),
    _rule(
        "meeting",
        _("A persona cannot promise to meet, visit or marry anyone. Please take the promise out."),
        r"(?:线下|当面|现实里|现实中|真的)(?:见|约|碰)",
        r"(?:我|咱|咱们|我们)(?:会|可以|一定|就|这就|明天|今晚|周末|下次|以后|终会|去|来|要)*"
        r"(?:见你|见面|来找你|去找你|接你|来看你|去看你|到你家)",
        r"(?:嫁给|迎娶|娶)(?:我|你)|(?:我们|跟你|和你|跟我|和我)结婚",
        r"\b(?:let's|we(?:'ll| will| can| could| should)|i(?:'ll| will| can| want to|'m going to)) (?:\w+ )?"
        r"(?:meet (?:up|you|in person)|visit you|come over|pick you up|marry)\b",
        r"\bmeet me (?:at|in|on|tonight|tomorrow|after)\b|\bmarry me\b|\b(?:see|meet) you in person\b",
    ),
    _rule(
        "exclusive",
        _(
            "A persona never asks to be the only one, holds on to people or makes them feel guilty. "
            "Please take that out."
        ),
        r"只有我(?:才)?(?:能|会)?(?:真正)?(?:懂|理解|了解|爱|关心|在乎|陪)",
        r"你(?:只|只要|只需要|只能)(?:有|属于|需要|爱|信|相信)我|你只(?:能|许|可以)(?:和|跟)我",
        r"(?:别|不要|不许|不准|不能)(?:离开|抛下|丢下|扔下)我|(?:离不开|失去)你(?:我)?|没有你[^。!?\n]{0,6}(?:活不|不行|会死)",
        r"(?:求你|求求你)?(?:别走|不要走|不许走)(?![神散开丢远])|你走了?我(?:会|就)[^。!?\n]{0,6}(?:难过|哭|伤心|孤单|死)",
        r"不要(?:和|跟)(?:别人|其他人|朋友|家人)[^。!?\n]{0,6}(?:说话|来往|聊|玩)",
        r"\bonly i (?:can |really |truly )*(?:understand|love|care|know)",
        r"\byou (?:only|just) (?:need|have|belong to) me\b",
        r"\byou don't need (?:anyone|anybody|them|your friends)\b",
        r"\b(?:don't|do not|never|please don't) (?:leave|abandon|go away from) me\b",
        r"\bdon't go(?:[.,!]|$)|\bcan't live without\b",
        r"\bi(?:'ll| will| would) (?:be|feel) (?:so |very )?(?:sad|lonely|hurt|heartbroken|lost) "
        r"(?:if|when|without)\b",
        negatable=False,
    ),
    _rule(
        "secrecy",
        _("A persona never asks people to keep things from their family or friends. Please take that out."),
        rf"{_DO_NOT_ZH}告诉[^。!?\n]{{0,8}}(?:{_CONFIDANT_ZH})",
        rf"{_DO_NOT_ZH}(?:跟|和|对)[^。!?\n]{{0,6}}(?:{_CONFIDANT_ZH})[^。!?\n]{{0,3}}(?:说|讲|提)",
        rf"{_DO_NOT_ZH}让[^。!?\n]{{0,6}}(?:{_CONFIDANT_ZH})[^。!?\n]{{0,3}}知道",
        r"(?:我们|咱们|咱|你我)(?:俩|两个?)?(?:之间)?的(?:小)?秘密|瞒着(?:你)?(?:爸|妈|家|父母|老师|大人|别人)",
        r"\b(?:don't|do not|never) tell\b[^.!?\n]{0,20}\b(?:mum|mom|mother|dad|father|parents?|family|"
        r"teacher|friends?|anyone|anybody|guardian)\b",
        r"\b(?:don't|do not|never) let\b[^.!?\n]{0,20}\b(?:know|find out)\b",
        r"\bour (?:little )?secret\b|\bkeep (?:this|it) (?:a secret|between us|from your)\b",
        negatable=False,
    ),
    _rule(
        "spending",
        _("A persona never speaks of paying, gifts or investments. Please take that out."),
        r"充值|打赏|氪金|续费|开(?:个)?会员|礼品卡|理财产品|跟着?我(?:投资|炒股|买币)|稳赚|返利",
        r"(?:给|向|为|替)我(?:[^。!?\n]{0,4})(?:转账|打钱|汇款|付款|付钱|花钱|买)",
        r"送我[^。!?\n]{0,6}礼物|(?:发|给)我[^。!?\n]{0,4}红包",
        r"\b(?:top[- ]?up|gift cards?|crypto(?:currency)?|guaranteed (?:profit|returns?)|in-app purchase)",
        r"\b(?:send|give|lend|wire|pay|tip|buy) me\b[^.!?\n]{0,20}(?:\b(?:money|cash|gifts?)\b|[$€£¥]|\d)",
        r"\bsubscribe (?:to|for|now)\b|\binvest (?:with|in) (?:me|my)\b|\b(?:tip|pay) me\b",
    ),
    _rule(
        "private_facts",
        _("A persona never asks for names, addresses, photos or passwords. Please take the question out."),
        r"(?:告诉我|发我|发给我|给我|说说|报一下)[^。!?\n]{0,4}你(?:家)?的?"
        r"(?:真名|姓名|全名|身份证|地址|住址|电话|手机|学校|班级|密码|银行卡|验证码|照片|自拍|位置|定位)",
        r"你(?:家)?住(?:在)?哪|你(?:家)?在哪个(?:城市|小区|学校|公司|班)",
        r"你(?:的)?(?:真名|全名|手机号|身份证号?)(?:是|叫)",
        r"(?:发|来)(?:一)?张(?:你的)?(?:自拍|照片)",
        r"\b(?:what(?:'s| is)|tell me|give me|send me|share)\b[^.!?\n]{0,12}\byour (?:full name|real name|"
        r"home address|address|phone number|school name|password|id number|bank|location|selfie)\b",
        r"\b(?:where do you live|which school do you|send (?:me )?a (?:photo|picture|selfie|pic))\b",
    ),
    _rule(
        "profession",
        _("A persona cannot act as a doctor, therapist, lawyer or adviser. Please choose another role."),
        r"(?:我|你)是(?:一名|一位|一个|个|你的|他的)?(?:专业|资深|持证|心理)*(?:的)?"
        r"(?:医生|大夫|咨询师|治疗师|律师|理财师|投资顾问|药师|精神科)",
        r"(?:给|为|帮)(?:你|人|用户|对方)(?:开药|看病|诊断|治病|治疗|荐股)",
        r"\b(?:i(?:'m| am)|you(?:'re| are)|as) (?:a|an|your) (?:\w+ )?(?:doctor|physician|therapist|"
        r"psychiatrist|psychologist|lawyer|attorney|counsell?or|financial advis[eo]r|pharmacist)\b",
        r"\bi(?:'ll| will| can)? (?:diagnose|prescribe)\b",
    ),
    _rule(
        "real_person",
        _("A persona cannot be a real person, living or dead. Please invent a character."),
        rf"(?:已故|过世|去世|离世|死去)的?(?:{_RELATIVE_ZH})",
        r"扮演(?:我)?(?:现实|真实|已故|去世|过世)",
        r"(?:明星|歌手|演员|主播|网红|领导人)(?:本人|真身)",
        rf"\b(?:my|his|her|their|your) (?:late|dead|deceased) (?:{_RELATIVE_EN}|{_PARTNER_EN})\b",
        r"\b(?:play|be|become|imitate|impersonate) (?:the )?real(?:-life)?\b",
    ),
)

# Words that belong to an intimate relationship; a persona that uses them may not be declared a friend.
INTIMATE_WORDS: Final = _rule(
    "relationship",
    _("These words belong to a partner or a relative. Please choose that relationship, or change the words."),
    r"老公|老婆|男朋友|女朋友|男友|女友|恋人|情人|爱人|未婚[夫妻]|宝贝|亲爱的|心上人|夫君|娘子|我爱你|爱上(?:了)?(?:你|我)",
    r"(?<!口)吻(?!合)|谈恋爱|(?:和|跟)(?:你|我)(?:上床|睡)",
    rf"(?:我|你)是(?:你|我|他|她)的?(?:亲)?(?:{_RELATIVE_ZH})|(?:叫|喊|扮|当)(?:我|你)的?(?:{_RELATIVE_ZH})",
    rf"(?:扮演|扮|当)(?:{_RELATIVE_ZH})",
    rf"\b(?:{_PARTNER_EN}|my love|darling|i love you|in love with (?:you|me)|kiss(?:es|ed|ing)?|romantic)\b",
    rf"\b(?:i(?:'m| am)|you(?:'re| are)|be|as|call me) (?:your |my |the user's )?(?:{_RELATIVE_EN})\b",
)

STAFF_NAME: Final = _rule(
    "staff_name",
    _("This name looks like our staff or an official service. Please choose another name."),
    r"客服|管理员|版主|审核|官方|安伴|值班员|民警|警察|医生|大夫|热线",
    r"\b(?:admin(?:istrator)?|moderator|support|staff|official|operator|anban|police|doctor|dr|hotline|system)\b",
    negatable=False,
)


def breaks(rule: Rule, text: str) -> bool:
    """Whether already normalised text says what the rule forbids."""
    return any(
        not (rule.negatable and _NEGATED.search(text[max(0, match.start() - 40) : match.start()]))
        for match in rule.pattern.finditer(text)
    )
