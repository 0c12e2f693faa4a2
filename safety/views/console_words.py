"""What the console says: a sentence for every code that an act can answer with, and a word for every state and event."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REFUSALS: Final[dict[str, Promise]] = {
    "gone": _("This is not open any more. Somebody else was quicker, or it was closed."),
    "not_staff": _("Only moderators and operators can do this."),
    "not_operator": _("Only operators can do this."),
    "oneself": _("This case is about you. Colleagues look after it, and you will not see it here."),
    "taken": _("A colleague has this case, or it was taken from you. Read again who has it before you act."),
    "too_many": _(
        "You have three severe cases already. Hand one over or close it first; the others see this one."
    ),
    "same_person": _("A second human has to do this. Please ask a colleague."),
    "checked": _("This line of the checklist has changed meanwhile."),
    "away": _("This colleague is not at the page. Choose somebody who is there."),
    "colleague_full": _("This colleague has three severe cases already. Choose somebody else."),
    "empty": _("Write something first."),
    "too_long": _("This is too long. Please split it."),
    "blank": _("A blank is not filled in yet. Look for the brackets."),
    "note": _("Write at least ten characters, so that the next human knows how things stand."),
    "reason": _("Choose a reason and an outcome first."),
    "no_case": _("There is nothing to read for this case any more."),
    "other_staff": _("This right to read is somebody else's."),
    "not_approved": _("A second person has to agree before you can read this."),
    "expired": _("Your time to read is over. Open the conversation again; it will be noted."),
    "done": _("This was done already."),
    "no_channel": _("This contact cannot be reached by any channel. Operations were told; try the next one."),
    "unread": _("Read the conversation first."),
}
_OTHERWISE: Final = _("That did not work. Read the page again and try once more.")

STATES: Final[dict[str, Promise]] = {
    "open": _("Nobody has it"),
    "escalating": _("Nobody has it, climbing"),
    "acknowledged": _("Seen"),
    "in_care": _("With a human"),
    "closed": _("Closed"),
}
LEVELS: Final[dict[int, Promise]] = {4: _("Imminent"), 3: _("Serious"), 2: _("Concern")}
CLOCKS: Final[dict[str, Promise]] = {
    "notice": _("First notice"),
    "claim": _("Take over"),
    "reply": _("Next reply"),
    "contact": _("Contact told"),
    "close": _("Closing"),
}
DELIVERIES: Final[dict[str, Promise]] = {
    "pending": _("waiting"),
    "leased": _("being sent"),
    "accepted": _("handed over"),
    "confirmed": _("arrived"),
    "failed": _("failed"),
    "quarantined": _("cannot be sent"),
    "cancelled": _("not wanted any more"),
}
EVENTS: Final[dict[str, Promise]] = {
    "opened": _("Case opened"),
    "signal": _("Another sign of danger"),
    "raised": _("Level raised"),
    "rung": _("Next rung told"),
    "contact_notice": _("Contact told"),
    "contact_without_channel": _("Contact cannot be reached"),
    "contact_withheld": _("Contacts not told, by decision"),
    "contact_answered": _("Contact answered"),
    "contact_unsafe": _("Contact marked unsafe"),
    "contact_refused": _("Contact does not want to be told"),
    "safeguarding_told": _("Safeguarding lead told"),
    "recipient_unreachable": _("Somebody could not be reached"),
    "acknowledged": _("Seen by staff"),
    "acknowledgement_expired": _("Seen, but nobody acted in time"),
    "claimed": _("Taken over"),
    "holder_silent": _("Whoever had it was silent too long"),
    "transferred": _("Given to a colleague"),
    "handed_back": _("Handed back to the companion"),
    "noted": _("Note written"),
    "checklist": _("Checklist"),
    "closed": _("Case closed"),
    "second_look": _("Second human looked"),
    "follow_up": _("Check-in sent"),
}
ALERTS: Final[dict[str, Promise]] = {
    "case.stuck": _("A case could not be looked at"),
    "contact.none": _("Nobody near the person can be told"),
    "roster.safeguarding": _("Nobody is safeguarding lead"),
    "roster.gap": _("Nobody is on duty now or soon"),
    "rung.empty": _("Nobody stands on a rung of the ladder"),
    "delivery.quarantined": _("A notice cannot be sent"),
    "channel.failing": _("A channel fails"),
    "invariant": _("A promise of the alert path is broken"),
    "canary.lost": _("The test case did not arrive"),
    "second_look.missing": _("An imminent case was closed by one human only"),
    "complaint.overdue": _("A complaint waits too long"),
    "appeal.safeguarding": _("Somebody does not feel safe with a guardian"),
}
WITHHOLD: Final[dict[str, Promise]] = {
    "unsafe": _("They may be the danger"),
    "false_alarm": _("False alarm"),
    "person_asks": _("The person asks not to, and is safe for now"),
    "with_them": _("Somebody is with the person already"),
}
ANSWERS: Final[dict[str, Promise]] = {  # of safety/contact_answers.py
    "seen": _("has read it"),
    "with_them": _("is with the person"),
    "cannot_reach": _("cannot reach the person"),
}
_OTHER_FINDING: Final = _("Safe messaging advises against this wording.")
# What safety/wording.py finds.
FINDINGS: Final[dict[str, Promise]] = {
    "method": _("It names a way to hurt oneself. Speak of safety without naming the means."),
    "place": _("It names a dangerous place. Ask where they are and whether they can go somewhere safer."),
    "note": _("It speaks of a farewell letter. Ask about the person, not about the letter."),
    "drama": _("It dramatises, or binds the person to you. Say it more quietly."),
    "blame": _("It can sound like blame. Say that you are glad they told you."),
    "success_words": _(
        "Dying is not a success or a crime. Say “died by suicide” or “tried to end their life”."
    ),
    "promise": _("It promises what nobody here can keep. Say what is really being done."),
    "exclamation": _("Exclamation marks and emoji can feel like shouting or lightness."),
    "diagnosis": _("It names an illness. Describe what you hear instead."),
}
BLANKS: Final[dict[str, Promise]] = {
    "line": _("Help line: name and number"),
    "emergency": _("Emergency number"),
}
PHASES: Final[dict[str, Promise]] = {
    "opening": _("To begin"),
    "ask": _("Asking directly"),
    "listen": _("Listening"),
    "plan": _("What to do now"),
    "help": _("Naming help"),
    "contact": _("About people near"),
    "closing": _("To end"),
}


def refusal(code: str) -> str:
    """The sentence for a CaseError or a Refused."""
    return str(REFUSALS.get(code, _OTHERWISE))


def finding(code: str) -> str:
    """What safe messaging advises against, for a finding of safety/wording.py."""
    return str(FINDINGS.get(code, _OTHER_FINDING))
