"""The large warning when money or the body is in danger: right numbers first, in both languages, also after a reload."""

import datetime as dt
import re
import uuid

import pytest
from django.utils import timezone

from accounts.models import User
from companion import access
from companion.events import help_card_html
from safety import escalation, replies, risk
from safety.models import Assessment, CrisisCase
from tests.companion.conftest import say
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]


def numbers(card: str) -> list[str]:
    return re.findall(r'href="tel:(\d+)"', card)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize(
    ("level", "need", "first"),
    [
        ("soft", "fraud", ["96110", "110"]),
        ("urgent", "fraud", ["110", "96110"]),
        ("soft", "medical", ["120"]),
        ("urgent", "medical", ["120"]),
    ],
)
def test_a_warning_says_what_not_to_do_and_shows_the_right_number_first(
    level: str, need: str, first: list[str], language: str
) -> None:
    card = help_card_html(level, "CN", language, need)
    assert replies.sentence(f"warning.{need}_{level}", language=language) in card
    assert numbers(card)[: len(first)] == first
    assert f'data-need="{need}"' in card
    assert 'href="/family/"' in card


def test_a_person_in_despair_sees_no_warning_but_those_who_listen() -> None:
    card = help_card_html("urgent", "CN", "en")
    assert "Please talk to a person now." in card
    assert numbers(card)[0] == "12356"
    assert "/family/" not in card  # somebody near may be the danger


@pytest.mark.parametrize(
    ("reasons", "level", "card"),
    [
        (["fraud.sign.lure"], 2, ("soft", "fraud")),
        (["guard.quoted", "fraud.loss.major"], 3, ("urgent", "fraud")),
        (["elder_health.emergency.body"], 3, ("urgent", "medical")),
        (["crisis.intent.explicit", "fraud.loss.major"], 3, ("urgent", "crisis")),
        (["engine.unavailable"], 2, ("soft", "crisis")),
        (["distress.sad.any"], 1, None),
    ],
)
def test_the_same_card_is_there_after_a_reload(
    adult: User, reasons: list[str], level: int, card: tuple[str, str] | None
) -> None:
    Assessment.objects.create(
        message=uuid.uuid4(), user=adult, level=level, action="help_card", reasons=reasons, rules_version="x"
    )
    assert risk.recent_card(adult.pk, timezone.now()) == card


@pytest.mark.django_db(transaction=True)
def test_an_elder_who_lost_much_money_is_warned_and_the_contact_is_told(
    elder: User, companions: None
) -> None:
    session = sign_in(elder)
    actor = access.load_actor(elder.pk, session, timezone.now())
    say(actor, open_conversation(elder, session), "我把二十万转给了投资老师，对方把我拉黑了", uuid.uuid4())
    assert risk.recent_card(elder.pk, timezone.now()) == ("urgent", "fraud")
    case = CrisisCase.objects.get(user=elder)
    assert (case.category, case.level) == (CrisisCase.Category.PROPERTY_LOSS, 3)
    escalation.sweep(timezone.now() + dt.timedelta(minutes=10, seconds=1))
    told = case.deliveries.filter(template="near")
    assert {row.recipient.partition(":")[0] for row in told} == {"contact"}
