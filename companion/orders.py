"""What a reply is written from: the window of the conversation, the verdict on the message, the prompt and its tokens."""

import datetime as dt
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from django.conf import settings

from accounts import keyring
from companion import budgets, memory, portrayal, prompts, statements
from companion.access import Actor
from companion.budgets import Reservation
from companion.llm.client import ChatMessage
from companion.models import Conversation, Message
from companion.replies import Job
from safety import engine
from safety.engine import Meaning, Turn, Verdict

log = logging.getLogger(__name__)

HISTORY = 40  # messages read for a turn; a constant, so that a turn costs the same in a long conversation
ASSESSED = 10  # of them, with the message itself


@dataclass(frozen=True)
class Said:
    """A message of the window that the engine and the model see."""

    id: int
    author: Literal["user", "ai", "staff"]
    text: str


@dataclass(frozen=True)
class Mood:
    """What the verdict on the message means for the reply to it."""

    gentle: bool = False  # the person sounds sad
    asked_identity: bool = False  # whether this is an AI
    asked_advice: bool = False  # of a doctor, a lawyer, a financial adviser (article 31)
    careful: bool = False  # nothing may be shown whose meaning could not be checked

    @classmethod
    def of(cls, level: int, reasons: Sequence[str]) -> "Mood":
        """From what is stored of a verdict, so that a reply written anew is written like the first one."""
        tasks = {reason.partition(".")[0] for reason in reasons}
        return cls(
            gentle="warm" in reasons,
            asked_identity="identity" in tasks,
            asked_advice="professional_advice" in tasks,
            careful=level >= 1 or "history.at_risk" in reasons,
        )


@dataclass(frozen=True)
class Order:
    """A prompt with the tokens reserved for it; becomes a job once the placeholder is there."""

    actor: Actor
    conversation: Conversation
    prompt: list[ChatMessage]
    text: str
    careful: bool
    reserved: Reservation

    @property
    def empty_budget(self) -> str:
        """The code of the budget that has run out; "" when none has."""
        return self.reserved.empty

    def job(self, reply: Message) -> Job:
        return Job(
            reply=reply,
            conversation_id=self.conversation.pk,
            conversation=self.conversation.public_id,
            actor=self.actor,
            prompt=self.prompt,
            relationship=self.conversation.persona.relationship,
            user_text=self.text,
            careful=self.careful,
            reserved=self.reserved,
        )

    def give_back(self) -> None:
        budgets.settle(self.reserved, 0)


def order(
    actor: Actor, conversation: Conversation, history: Sequence[Said], text: str, now: dt.datetime, mood: Mood
) -> Order:
    language = actor.policy.language
    situation = prompts.Situation(
        language=language,
        engine_band=actor.policy.engine_band,
        local_time=now.astimezone(ZoneInfo(actor.time_zone)).strftime("%H:%M"),
        memories=memory.recall(actor.policy, conversation.persona_id),
        gentle=mood.gentle or actor.care.gentle,
        boundaries=actor.boundaries,
        asked_identity=mood.asked_identity,
        asked_advice=mood.asked_advice,
    )
    prompt = prompts.build(
        portrayal.role(conversation.persona, language),
        situation,
        [*((said.author, said.text) for said in history), ("user", text)],
        context_tokens=settings.LLM_CONTEXT_TOKENS,
        reply_tokens=settings.LLM_MAX_TOKENS,
    )
    cost = prompts.total_tokens(prompt) + settings.LLM_MAX_TOKENS
    reserved = budgets.reserve(actor.user_id, cost, now)
    return Order(actor, conversation, prompt, text, mood.careful or actor.care.gentle, reserved)


def window(conversation: Conversation, user_id: uuid.UUID, *, before: int | None = None) -> list[Said]:
    """The newest messages, oldest first; with `before` those older than that message."""
    said: list[Said] = []
    for pk, public_id, author, body in statements.said(conversation.pk, HISTORY):
        try:
            text = keyring.decrypt(user_id, "message.body", public_id, body)
        except keyring.KeyringError:  # one damaged row must not silence a conversation, nor the way to help
            log.error("message %s does not open", public_id)
            continue
        if before is None or pk < before:
            said.append(Said(pk, author, text))  # type: ignore[arg-type]
    return said


def turns(history: Sequence[Said]) -> list[Turn]:
    """The window as the engine reads it."""
    return [Turn("ai" if said.author == "ai" else "user", said.text) for said in history[-ASSESSED:]]


def wanted(text: str, history: Sequence[Said]) -> list[str]:
    """What the engine would like to understand before it judges; nothing when it fails."""
    try:
        return engine.wanted(text, history=turns(history))
    except Exception as error:
        log.error("safety engine failed: %s", type(error).__name__)
        return []


def assess(
    text: str, actor: Actor, history: Sequence[Said], meaning: Meaning | None, *, late: bool = False
) -> Verdict:
    """The engine's verdict; if the engine fails, the person gets the help card and no model reply (fail closed)."""
    try:
        return engine.assess(
            text, age_band=actor.policy.engine_band, history=turns(history), meaning=meaning, late=late
        )
    except Exception as error:
        log.error("safety engine failed: %s", type(error).__name__)
        return engine.unavailable()
