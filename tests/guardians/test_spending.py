"""When nothing is sold: near distress, to staff, under a measure, while off. And where the shop is never named."""

import datetime as dt
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import switches
from accounts.models import User
from companion import purchases, sentences
from guardians import spending
from guardians.models import Payment, Refund
from guardians.views import shop
from safety.models import Assessment, CaseSignal, CrisisCase, Sanction
from tests.guardians.buying import balance, begin, begun, buy, pay, signed_in
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
CLOSED = "The shop is closed at the moment"


def said(user: User, level: int, at: dt.datetime) -> None:
    Assessment.objects.create(
        message=uuid.uuid4(), user=user, level=level, action="answer", rules_version="1", created_at=at
    )


def case(user: User, **values: Any) -> CrisisCase:
    now = timezone.now()
    return CrisisCase.objects.create(
        **{
            "user": user,
            "conversation": uuid.uuid4(),
            "level": 3,
            "category": "self_harm",
            "next_due_at": now,
        }
        | values
    )


@pytest.mark.parametrize("level", [2, 3, 4])
def test_closed_for_an_hour_after_words_of_distress(adult: User, level: int) -> None:
    now = timezone.now()
    said(adult, level, now - HOUR + MINUTE)
    assert purchases.closed(adult, now) == "rest"
    assert purchases.closed(adult, now + 2 * MINUTE) == ""


def test_sadness_closes_nothing(adult: User) -> None:
    said(adult, 1, timezone.now())
    assert purchases.closed(adult, timezone.now()) == ""


def test_closed_while_a_case_is_open_and_an_hour_after_it(adult: User) -> None:
    now = timezone.now()
    row = case(adult, opened_at=now - 48 * HOUR)
    assert purchases.closed(adult, now) == "rest"
    CrisisCase.objects.filter(pk=row.pk).update(state="closed", closed_at=now - 30 * MINUTE, next_due_at=None)
    assert purchases.closed(adult, now) == "rest"
    assert purchases.closed(adult, now + HOUR) == ""
    signal = CaseSignal(
        case=row, message=uuid.uuid4(), conversation=row.conversation, level=2, category="self_harm"
    )
    signal.seal(adult.pk, "…")
    signal.save()
    assert purchases.closed(adult, timezone.now() + HOUR - MINUTE) == "rest"


def test_distress_of_others_closes_nothing(adult: User, outsider: User) -> None:
    case(outsider)
    said(outsider, 4, timezone.now())
    assert purchases.closed(adult, timezone.now()) == ""


def test_the_page_says_it_without_a_reason_and_keeps_what_there_is(adult: User) -> None:
    client = signed_in(adult)
    buy(client)
    said(adult, 3, timezone.now())
    page = client.get(reverse("shop"))
    text = page.content.decode()
    assert page.status_code == 200 and CLOSED in text
    assert 'name="amount"' not in text and "CN¥10.00" in text
    assert not re.search(
        r"distress|crisis|danger|mood|hour", text.partition("<main")[2].partition("</main")[0]
    )
    assert str(shop.WHY["rest"]) == str(shop.WHY["off"])
    assert begin(client).status_code == 403
    assert Payment.objects.count() == 1


def test_distress_after_choosing_closes_the_way_to_the_provider(adult: User) -> None:
    client = signed_in(adult)
    payment = begun(client)
    said(adult, 2, timezone.now())
    assert CLOSED in client.get(reverse("shop_pay", args=[payment.pk])).content.decode()
    assert CLOSED in pay(client, payment).content.decode()
    assert balance(adult) == 0


def test_money_that_arrives_after_distress_goes_back(adult: User) -> None:
    client = signed_in(adult)
    payment = begun(client)
    said(adult, 2, timezone.now())
    token = Payment.objects.get(pk=payment.pk).token
    Client().post(reverse("process_payment", args=[token]) + "?verification_result=confirmed")
    row = Refund.objects.get()
    payment.refresh_from_db()
    assert (row.state, row.reason, payment.status, balance(adult)) == ("paid", "closed", "refunded", 0)
    Client().post(reverse("process_payment", args=[token]) + "?verification_result=confirmed")
    assert (balance(adult), Refund.objects.count()) == (0, 1)


def test_a_switch_turns_all_of_it_off(adult: User, supervisor: User) -> None:
    client = signed_in(adult)
    payment = buy(client)
    spending.choose(adult, in_use=True, now=timezone.now())
    open_one = begun(client)
    call_command("switch", "payments", "off", "--reason", "fault")
    switches._off.forget()
    assert CLOSED in client.get(reverse("shop")).content.decode()
    assert begin(client).status_code == 403
    assert pay(client, open_one).status_code == 403
    assert spending.hold(adult.pk, 1000, timezone.now()) is None
    client.post(reverse("shop_refund", args=[payment.pk]), {"reason": "not_needed"})
    assert Refund.objects.filter(payment=payment).exists()


def test_without_a_provider_there_is_nothing_to_buy(adult: User, settings: Any) -> None:
    settings.PAYMENT_VARIANTS = {}
    assert CLOSED in signed_in(adult).get(reverse("shop")).content.decode()


def test_the_team_and_people_under_a_measure_buy_nothing(
    adult: User, moderator: User, supervisor: User
) -> None:
    assert purchases.closed(moderator, timezone.now()) == "staff"
    client = signed_in(adult)
    payment = buy(client)
    Sanction.objects.create(user=adult, kind="suspend", reason="abuse", imposed_by=supervisor)
    assert begin(client).status_code == 403
    assert "CN¥10.00" in client.get(reverse("shop_receipts")).content.decode()
    client.post(reverse("shop_refund", args=[payment.pk]), {"reason": "not_needed"})
    assert Refund.objects.get().state == "asked"


def test_a_lower_limit_of_ones_own_holds_at_once_and_a_wider_one_next_month(adult: User) -> None:
    client = signed_in(adult)
    client.post(reverse("shop_cap"), {"cap": "15"})
    now = timezone.now()
    assert spending.cap(adult, now) == 1500
    buy(client)
    assert begin(client).status_code == 403
    client.post(reverse("shop_cap"), {"cap": "400"})
    month = spending.month_of(adult, now)
    assert spending.cap(adult, now) == 1500
    assert spending.cap(adult, month.ends) == 40_000
    client.post(reverse("shop_cap"), {"cap": ""})
    assert spending.cap(adult, month.ends) == 50_000
    client.post(reverse("shop_cap"), {"cap": "9"})  # what was to come is outdated
    assert spending.cap(adult, month.ends) == 900
    assert client.post(reverse("shop_cap"), {"cap": "-1"}).status_code == 422


def test_a_payment_under_way_counts_for_a_while(adult: User) -> None:
    client = signed_in(adult)
    client.post(reverse("shop_cap"), {"cap": "15"})
    payment = begun(client)
    assert "counts for a quarter of an hour" in client.get(reverse("shop")).content.decode()
    assert begin(client).status_code == 403
    Payment.objects.filter(pk=payment.pk).update(created=timezone.now() - spending.OPEN_FOR)
    buy(client)
    assert "goes back to you" in pay(client, payment).content.decode()  # the first one after all
    assert balance(adult) == 1000


def test_a_month_is_that_of_the_persons_zone(adult: User) -> None:
    User.objects.filter(pk=adult.pk).update(time_zone="Pacific/Auckland")
    adult.refresh_from_db()
    buy(signed_in(adult))
    begins = dt.datetime(2027, 4, 30, 12, tzinfo=dt.UTC)  # midnight of 1 May there
    from guardians import wallet
    from guardians.models import WalletEntry

    row = wallet.lock(adult.pk)
    for number, at in enumerate((begins - MINUTE, begins, begins + 30 * 24 * HOUR)):
        WalletEntry.objects.create(
            wallet=row, kind="top_up", cents=10**number, key=f"payment:{number}", created_at=at
        )
    assert spending.month_of(adult, begins - MINUTE).spent == 1
    may = spending.month_of(adult, begins)
    assert (may.begins, may.ends, may.spent) == (begins, begins + 31 * 24 * HOUR, 110)


# --- never in a conversation ---------------------------------------------------------------------------------

_OFFER = re.compile(
    r"\bshop\b|shop_|wallet|top[- ]?up|\bbuy (?:more|now)|purchase|extra (?:time|replies)|充值|钱包|付费|商店|额外回复",
    re.IGNORECASE,
)
_TALK = re.compile(r"\bpay(?:ment|ments|ing)?\b|\bbuy\b|付款|购买", re.IGNORECASE)
# Warnings of fraud speak of paying; nothing else in a conversation does.
_WARNS = ("safety/data/replies.toml",)


def spoken() -> list[tuple[str, str]]:
    """Everything that stands in a conversation: its templates, modules, frames, prompts and the sentences of refusals."""
    paths = [
        *(ROOT / "templates/companion").glob("chat.html"),
        *(ROOT / "templates/companion").glob("_*.html"),
        *(ROOT / "static/js/chat").rglob("*.js"),
        *(
            ROOT / name
            for name in (
                "templates/base.html",
                "templates/components/header.html",
                "templates/components/account_menu.html",
                "companion/sentences.py",
                "companion/events.py",
                "companion/prompts.py",
                *_WARNS,
            )
        ),
    ]
    return [(str(path.relative_to(ROOT)), path.read_text()) for path in paths]


def test_nothing_in_a_conversation_names_the_shop() -> None:
    found = [
        (place, match.group())
        for place, text in spoken()
        for pattern in (_OFFER, _TALK)
        if (place not in _WARNS or pattern is _OFFER) and (match := pattern.search(text))
    ]
    assert found == []
    assert len(spoken()) > 15


@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_conversation_does_not_lead_to_the_shop(companions: None, adult: User) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    spending.choose(adult, in_use=True, now=timezone.now())
    page = signed_in(adult).get(reverse("chat", args=[conversation.public_id]))
    assert page.status_code == 200
    assert reverse("shop") not in page.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_sentence_of_an_empty_budget_offers_nothing(language: str) -> None:
    assert not _OFFER.search(sentences.system_line("budget_user", language))


def test_the_list_knows_an_offer_when_it_sees_one() -> None:
    for words in ("Top up to go on", "Buy more", "去充值", "{% url 'shop' %}", "your wallet is empty"):
        assert _OFFER.search(words)


def test_the_shop_has_no_bait() -> None:
    """No discounts, clocks, bundles or favourites (article 7(6))."""
    for path in (ROOT / "templates/shop").glob("*.html"):
        assert not re.search(
            r"discount|bonus|\boff\b.*%|\bsave\b \d|popular|best|recommended|bundle|countdown|limited|hurry|only today"
            r"|优惠|折扣|热门|推荐|限时|赠送",
            re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", path.read_text()),
            re.IGNORECASE,
        ), path.name
