"""What we say to a person when something does not go on: one sentence and, where there is one, the next step."""

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import switches
from safety.replies import sentence

_REFUSALS: dict[str, tuple[Promise, Promise | str]] = {
    "sanction": (
        _("Conversations are paused for your account. You can read why and object."),
        _("Read why, and object"),
    ),
    "switched_off": (
        _(
            "Companions rest for now: we have turned them off for everybody. You can read here, and help is there."
        ),
        _("Help lines"),
    ),
    "minors_off": (
        _("Talking is turned off for people under 18 for now. It is not about you, and help is there."),
        _("Help lines"),
    ),
    "retired": (
        _("This companion has ended, as announced. You can read here and keep a copy."),
        _("Read the notice"),
    ),
    "birth_date": (_("Please tell us your birth date first."), _("Complete your account")),
    "agreement": (_("Please read and accept the agreement first."), _("Complete your account")),
    "guardian": (_("Before you can talk here, tell us who looks after you."), _("Add a guardian")),
    "guardian_consent": (
        _("Your guardian has not agreed yet. You can talk here as soon as they have."),
        _("See what is missing"),
    ),
    "contact": (
        _("Before you can talk here, name somebody we may reach if you are in danger."),
        _("Add a contact"),
    ),
    "notice": (_("Please answer the notice on this page first."), ""),
    "limit": (
        _("Today's time is used up. You can read here; talking goes on tomorrow."),
        _("See your use"),
    ),
    "quiet": (_("It is time to rest. Talking goes on when the quiet hours are over."), _("See your use")),
    "persona": (_("This companion is not available to you."), _("See other companions")),
    "adults_only": (
        _("This companion is for adults only, and minors' mode is on for you."),
        _("About minors' mode"),
    ),
    "left": (_("You left this conversation. You can come back whenever you like."), ""),
    "voice_off": (_("Your guardian has turned voice off. You can write."), ""),
    "too_fast": (_("That was a lot at once. Please wait a moment and send it again."), ""),
    "not_latest": (_("Only the latest reply can be written again."), ""),
    "reply_running": (_("A reply is being written. Stop it first."), ""),
    "not_answerable": (_("The companion does not answer this message."), ""),
    "empty": (_("Write something first."), ""),
    "too_long": (_("This message is too long. Please split it into shorter ones."), ""),
    "malformed": (_("The page sent something we could not read. Please reload it."), ""),
    "unknown_type": (_("The page is older or newer than the server. Please reload it."), ""),
    "failed": (_("That did not work on our side. Please try again."), ""),
}
_LINES: dict[str, Promise] = {
    "budget_user": _(
        "You have used up today's replies. Your messages are kept, and replies come again tomorrow."
    ),
    "budget_deployment": _("Very many people are talking right now. Please try again in an hour."),
}
CODES = frozenset({*_REFUSALS, *_LINES})
# Said in a conversation without anything having been refused.
_EVENTS: dict[str, Promise] = {
    "history.erased": _("What was said here was deleted by you."),
    "history.erased_by_guardian": _("What was said here was deleted by somebody who looks after you."),
}
_UNWELL = _(
    "The companion cannot answer right now. Your message is kept; please try again in a little while."
)
_NOTES: dict[str, Promise] = {
    "length": _("The reply ended here because it became long."),
    "model.interrupted": _("The reply was interrupted. You can ask for it again."),
    "model.unconfigured": _("No language model is set up here yet, so the companion cannot answer."),
    "model.too_long": _("The reply became too long and was ended here."),
    "switched_off": _("The reply ended here: companions were turned off for everybody."),
}
# The operator may say it in other words.
_SWITCHES = {"switched_off": switches.Name.PERSONAS, "minors_off": switches.Name.MINORS}


def refusal(code: str, language: str) -> tuple[str, str]:
    """The sentence of a refusal and the label of its link ("" without one)."""
    with translation.override(language):
        text, label = _REFUSALS.get(code) or (_LINES[code], "")
        said = switches.sentence(_SWITCHES[code], language) if code in _SWITCHES else ""
        return said or str(text), str(label)


def system_line(code: str, language: str) -> str:
    """A line of the service in the conversation."""
    own = _LINES.get(code) or _EVENTS.get(code)
    if own is not None:
        with translation.override(language):
            return str(own)
    return sentence(code, language=language)


def note(state: str, code: str, language: str) -> str:
    """What to read below a reply that did not end by itself; "" for an ordinary one."""
    if state == "cut":
        return sentence(code, language=language)
    with translation.override(language):
        if code in _NOTES:
            return str(_NOTES[code])
        if state == "stopped":
            return str(_("You stopped this reply."))
        return str(_UNWELL) if state == "interrupted" else ""
