"""The large warning when money or the body is in danger: right numbers first, in both languages, also after a reload."""

import re
import uuid

import pytest
from django.utils import timezone

from accounts.models import User
from companion.events import help_card_html
from safety import replies, risk
from safety.models import Assessment


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
