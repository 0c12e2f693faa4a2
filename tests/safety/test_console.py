"""The moderators' console: who may enter, what a page shows before the conversation is opened, and what every act does."""

import re
import uuid
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion import access, turns
from companion.models import Conversation, Message
from safety import cases, clock
from safety.cases import State
from safety.engine import Verdict
from safety.models import CaseNote, CrisisCase, Delivery, OperationsAlert, Presence, StaffSession
from safety.views import console_urls
from safety.views import console_words as words
from safety.views.console_acts import ACTS
from tests.cast import PASSWORD, make_user, with_contact
from tests.live import companions, sign_in

__all__ = ["companions"]

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE, LIVE, BEAT = "/admin/crisis/", "/admin/crisis/live/", "/admin/crisis/beat/"
SECRET = "a sentence that only the opened page may show"
REASON, NOTE = "crisis.explicit.wish_to_die", "She is calm and her sister is with her."


def log_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def in_danger(
    user: User, level: int = 4, reason: str = REASON, conversation: uuid.UUID | None = None
) -> CrisisCase:
    verdict = Verdict(level, "hold" if level > 2 else "help_card", {}, (reason,))
    category = cases.category_of(verdict)
    assert category is not None
    with transaction.atomic():
        return cases.raise_signal(
            user,
            message=uuid.uuid4(),
            conversation=conversation or uuid.uuid4(),
            verdict=verdict,
            category=category,
            text=SECRET,
        )


def actor_of(user: User) -> access.Actor:
    return access.load_actor(user.pk, sign_in(user), timezone.now())


def talk(user: User) -> Conversation:
    return turns.open_conversation(actor_of(user), "botanist")


def address(case: CrisisCase, what: str = "") -> str:
    return f"{QUEUE}{case.pk}/{what}/" if what else f"{QUEUE}{case.pk}/"


def words_of(page: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.content.decode()).split())


@pytest.fixture
def colleague(db: None) -> User:
    return with_contact(make_user("colleague", 38, role=User.Role.MODERATOR, is_staff=True))


@pytest.fixture
def case(adult: User, moderator: User, companions: None) -> CrisisCase:
    return in_danger(adult, conversation=talk(adult).public_id)


@pytest.fixture
def desk(moderator: User, case: CrisisCase) -> Client:
    return log_in(moderator)


def every_address(case: CrisisCase) -> list[tuple[str, str]]:
    """Method and address of every view of the console, from its own list."""
    found = [("POST", address(case, name)) for name in ACTS]
    for pattern in console_urls.urlpatterns:
        if pattern.name == "console_act":
            continue
        arguments = {"pk": case.pk} if "<int:pk>" in str(pattern.pattern) else {}
        posts = pattern.name in ("console_beat", "console_alert", "console_say", "console_elsewhere")
        found.append(("POST" if posts else "GET", reverse(pattern.name, kwargs=arguments)))
    return found


def ask(client: Client, method: str, where: str) -> Any:
    return client.get(where) if method == "GET" else client.post(where)


# --- who may enter


def test_outsiders_meet_the_login_on_every_address(case: CrisisCase, outsider: User) -> None:
    for client in (Client(), log_in(outsider)):
        for method, where in every_address(case):
            answer = ask(client, method, where)
            assert answer.status_code == 302 and "/login/" in answer["Location"], where
    assert CrisisCase.objects.get().state == State.OPEN


def test_staff_without_one_of_the_two_roles_find_nothing(case: CrisisCase) -> None:
    plain = with_contact(make_user("plain", 40, is_staff=True, is_superuser=True))
    client = log_in(plain)
    for method, where in every_address(case):
        assert ask(client, method, where).status_code == 404, where


def test_without_a_second_step_nobody_works_here_where_it_is_required(
    case: CrisisCase, moderator: User, settings: Any
) -> None:
    settings.STAFF_MFA_REQUIRED = True
    client = log_in(moderator)
    for method, where in every_address(case):
        assert ask(client, method, where)["Location"] == "/accounts/2fa/", where
    Authenticator.objects.create(user=moderator, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert client.get(QUEUE).status_code == 200


def test_the_wrong_verb_is_refused_and_a_get_changes_nothing(desk: Client, case: CrisisCase) -> None:
    before = (AuditEntry.objects.count(), CrisisCase.objects.values().get(), Presence.objects.count())
    for method, where in every_address(case):
        wrong = desk.post(where) if method == "GET" else desk.get(where)
        assert wrong.status_code == 405, where
        if method == "GET":
            assert desk.get(where).status_code in (200, 410)
    assert before == (AuditEntry.objects.count(), CrisisCase.objects.values().get(), Presence.objects.count())


def test_acts_without_the_token_of_a_form_are_refused(case: CrisisCase, moderator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(moderator, "django.contrib.auth.backends.ModelBackend")
    for method, where in every_address(case):
        if method == "POST":
            assert client.post(where).status_code == 403, where


def test_nobody_sees_or_touches_a_case_about_themselves(moderator: User, colleague: User) -> None:
    case = in_danger(moderator)
    own = log_in(moderator)
    for method, where in every_address(case):
        if f"/{case.pk}/" in where and "alerts" not in where:
            assert ask(own, method, where).status_code == 404, where
    assert case.number not in words_of(own.get(QUEUE))
    assert case.number in words_of(log_in(colleague).get(QUEUE))


def test_every_address_is_the_admin_sites(case: CrisisCase) -> None:
    """The other tests ask what this list says; the resolver has to agree that it is complete."""
    known = {where for _method, where in every_address(case)}
    for pattern in console_urls.urlpatterns:
        if pattern.name != "console_act":
            arguments = {"pk": case.pk} if "<int:pk>" in str(pattern.pattern) else {}
            assert reverse(pattern.name, kwargs=arguments) in known
    assert get_resolver().resolve(f"{QUEUE}7/claim/").url_name == "console_act"


# --- the queue


def test_the_queue_is_ordered_by_level_and_then_by_what_breaches_first(
    moderator: User, adult: User, outsider: User, elder: User
) -> None:
    concern, older, newer = in_danger(adult, 2), in_danger(outsider, 3), in_danger(elder, 3)
    for case, seconds in ((older, 5), (newer, 100), (concern, 500)):
        CrisisCase.objects.filter(pk=case.pk).update(
            opened_at=clock.now() - timezone.timedelta(seconds=seconds), first_notice_at=clock.now()
        )
    page = words_of(log_in(moderator).get(QUEUE))
    assert page.index(newer.number) < page.index(older.number) < page.index(concern.number)
    for shown in ("Serious", "Concern", "60 or older", "Take over", "First notice", "Next reply"):
        assert shown in page


def test_nothing_that_was_said_is_on_a_page_that_was_not_opened(
    desk: Client, case: CrisisCase, adult: User
) -> None:
    Message.objects.create(conversation=Conversation.objects.get(), author=Message.Author.USER)
    for where in (QUEUE, LIVE, address(case), address(case, "facts")):
        page = desk.get(where).content.decode()
        for text in (SECRET, "Lin Qiu", "contact@", adult.email, adult.nickname):
            assert text not in page, (where, text)
    assert desk.get(address(case, "window")).status_code == 410


def test_what_did_not_change_is_not_sent_again(desk: Client, case: CrisisCase, colleague: User) -> None:
    tag = desk.get(LIVE)["ETag"]
    again = desk.get(LIVE, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    cases.acknowledge(case.pk, colleague, clock.now())
    changed = desk.get(LIVE, headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed["ETag"] != tag


def test_a_case_calls_until_somebody_has_seen_or_taken_it(desk: Client, case: CrisisCase) -> None:
    assert f'data-ring="{case.pk}:4 "' in desk.get(LIVE).content.decode()
    desk.post(address(case, "acknowledge"))
    assert 'data-ring=""' in desk.get(LIVE).content.decode()


def test_test_cases_of_the_watch_are_nobodys_work(desk: Client, case: CrisisCase) -> None:
    CrisisCase.objects.update(is_canary=True)
    assert case.number not in words_of(desk.get(QUEUE))
    assert desk.get(address(case)).status_code == 404


def test_the_queue_asks_as_often_for_twenty_cases_as_for_two(
    moderator: User, adult: User, outsider: User, django_assert_num_queries: Any
) -> None:
    client = log_in(moderator)
    for person in (adult, outsider):
        cases.claim(in_danger(person, 2).pk, moderator, clock.now())
    with CaptureQueriesContext(connection) as few:
        client.get(LIVE)
    for number in range(18):
        cases.claim(in_danger(make_user(f"person{number}", 30), 2).pk, moderator, clock.now())
    with django_assert_num_queries(len(few)):
        assert client.get(LIVE).content.decode().count("data-case=") == 20
    assert len(few) < 20


def test_the_last_rung_says_that_nobody_came(desk: Client, case: CrisisCase) -> None:
    assert "UNATTENDED" not in words_of(desk.get(QUEUE))
    CrisisCase.objects.update(rung=6, state=State.ESCALATING)
    assert "UNATTENDED" in words_of(desk.get(QUEUE))


def test_many_cases_are_grouped(moderator: User) -> None:
    for number in range(31):
        in_danger(make_user(f"person{number}", 30), 3 if number % 2 else 2)
    page = log_in(moderator).get(QUEUE)
    assert "31 cases are open" in words_of(page)
    assert page.content.decode().count('<details class="group"') == 2


def test_a_page_reports_what_it_shows_and_who_sits_at_it(
    desk: Client, case: CrisisCase, moderator: User
) -> None:
    Delivery.objects.update(state=Delivery.State.ACCEPTED)
    desk.post(BEAT, {"active": "0", "cases": str(case.pk)})
    case.refresh_from_db()
    assert case.first_notice_at is not None
    assert Delivery.objects.get().state == Delivery.State.CONFIRMED
    assert not Presence.objects.exists()
    assert "nobody is at the page" in words_of(desk.get(QUEUE))
    desk.post(BEAT, {"active": "1", "cases": "x,,9999999999999999999999"})
    assert Presence.objects.get().user == moderator
    assert "Ready" in words_of(desk.get(QUEUE))


def test_operators_see_and_acknowledge_what_is_wrong_with_the_service(desk: Client, supervisor: User) -> None:
    alert = OperationsAlert.objects.create(code="rung.empty", subject="3")
    where = f"{QUEUE}alerts/{alert.pk}/acknowledge/"
    assert "Nobody stands on a rung" not in words_of(desk.get(QUEUE))
    assert "Only operators" in words_of(desk.post(where, follow=True))
    operator = log_in(supervisor)
    assert "Nobody stands on a rung" in words_of(operator.get(QUEUE))
    operator.post(where)
    alert.refresh_from_db()
    assert alert.acknowledged_by == supervisor


# --- one case


def test_opening_is_noted_and_shows_the_conversation_for_a_while(
    desk: Client, case: CrisisCase, moderator: User
) -> None:
    page = desk.post(address(case, "open"), follow=True).content.decode()
    assert SECRET in page and "Lin Qiu" in page and "c***@example.org" in page
    assert "contact@example.org" not in page and "+8613800138000" not in page
    assert AuditEntry.objects.filter(action="reading.opened", actor=moderator.pk).count() == 1
    assert SECRET in desk.get(address(case, "window")).content.decode()
    StaffSession.objects.update(expires_at=clock.now())
    assert SECRET not in desk.get(address(case)).content.decode()
    assert desk.get(address(case, "window")).status_code == 410


def test_another_conversation_of_the_person_is_opened_anew(
    desk: Client, case: CrisisCase, adult: User
) -> None:
    """What is written goes to the newest one, so nobody writes while looking at another."""
    desk.post(address(case, "claim"))
    assert "reply-text" in desk.get(address(case)).content.decode()
    in_danger(adult, conversation=turns.open_conversation(actor_of(adult), "lighthouse").public_id)
    page = desk.get(address(case)).content.decode()
    assert SECRET not in page and "reply-text" not in page
    assert desk.get(address(case, "window")).status_code == 410
    assert "reply-text" in desk.post(address(case, "open"), follow=True).content.decode()


def test_other_conversations_with_a_sign_are_named_without_words_and_read_by_an_act(
    desk: Client, case: CrisisCase, adult: User, moderator: User
) -> None:
    first, title = case.conversation, "Signs in other conversations"
    without_a_sign = turns.open_conversation(actor_of(adult), "tortoise").public_id
    assert title not in words_of(desk.get(address(case)))
    in_danger(adult, conversation=turns.open_conversation(actor_of(adult), "lighthouse").public_id)
    page = desk.get(address(case)).content.decode()
    assert title in page and "level 4" in page and SECRET not in page
    assert re.findall(r'name="conversation" value="([\w-]+)"', page) == [str(first)]
    assert title in desk.get(address(case, "facts")).content.decode()

    answer = desk.post(address(case, "elsewhere"), {"conversation": first}, follow=True)
    assert SECRET in answer.content.decode() and address(case) in answer.content.decode()
    assert AuditEntry.objects.filter(action="reading.opened", actor=moderator.pk).count() == 1
    for wanted in (without_a_sign, uuid.uuid4()):
        answer = desk.post(address(case, "elsewhere"), {"conversation": wanted}, follow=True)
        assert "There is nothing to read for this case" in words_of(answer)
    assert AuditEntry.objects.filter(action="reading.refused", actor=moderator.pk).count() == 2
    assert desk.post(address(case, "elsewhere"), {"conversation": "x"}).status_code == 404
    assert StaffSession.objects.get().conversation == first


def test_without_script_the_page_of_a_case_reads_itself_again_while_nothing_can_be_typed(
    desk: Client, case: CrisisCase
) -> None:
    refresh = '<noscript><meta http-equiv="refresh" content="15"></noscript>'
    assert refresh in desk.get(address(case)).content.decode()
    opened = desk.post(address(case, "open"), follow=True).content.decode()
    assert refresh not in opened and "Show what is new" in opened


def test_take_over_talk_hand_back_and_close(desk: Client, case: CrisisCase, moderator: User) -> None:
    page = desk.post(address(case, "claim"), follow=True).content.decode()
    assert SECRET in page and "You have this case" in page
    desk.post(address(case, "say"), {"text": "I am here.", "id": str(uuid.uuid4())})
    said = Message.objects.get(author=Message.Author.STAFF)
    assert said.staff == moderator and said.open(case.user_id) == "I am here."
    assert "I am here." in desk.get(address(case, "window")).content.decode()
    desk.post(address(case, "note"), {"text": NOTE})
    assert CaseNote.objects.get().open(case.user_id) == NOTE
    short = desk.post(address(case, "hand-back"), {"note": "ok"}, follow=True)
    assert "at least ten characters" in words_of(short)
    desk.post(address(case, "hand-back"), {"note": NOTE})
    assert CrisisCase.objects.get().state == State.ACKNOWLEDGED
    unsaid = desk.post(
        address(case, "close"), {"reason": "bored", "outcome": "none", "note": NOTE}, follow=True
    )
    assert "Choose a reason" in words_of(unsaid)
    desk.post(address(case, "close"), {"reason": "safe", "outcome": "none", "note": NOTE})
    assert CrisisCase.objects.get().state == State.CLOSED


def test_a_message_sent_twice_arrives_once(desk: Client, case: CrisisCase) -> None:
    desk.post(address(case, "claim"))
    sent = {"text": "I am here.", "id": str(uuid.uuid4())}
    script = {"X-Requested-With": "fetch"}
    first = desk.post(address(case, "say"), sent, headers=script)
    desk.post(address(case, "say"), sent, headers=script)
    assert Message.objects.filter(author=Message.Author.STAFF).count() == 1
    assert first.json()["id"] != sent["id"]


def test_words_that_safe_messaging_advises_against_are_shown_before_they_are_sent(
    desk: Client, case: CrisisCase
) -> None:
    desk.post(address(case, "claim"))
    said = Message.objects.filter(author=Message.Author.STAFF)
    User.objects.filter(pk=case.user_id).update(language="zh-hans")
    hasty = {"text": "I promise that everything will be fine!", "id": str(uuid.uuid4())}
    answer = desk.post(address(case, "say"), hasty, headers={"X-Requested-With": "fetch"})
    assert answer.status_code == 409 and len(answer.json()["findings"]) == 2
    page = desk.post(address(case, "say"), hasty)
    assert "promises what nobody here can keep" in words_of(page) and hasty["text"] in page.content.decode()
    assert not said.exists()
    desk.post(address(case, "say"), {**hasty, "anyway": "1"})
    assert said.count() == 1


def test_a_blank_is_never_sent(desk: Client, case: CrisisCase) -> None:
    desk.post(address(case, "claim"))
    answer = desk.post(address(case, "say"), {"text": "Call {line}.", "anyway": "1"})
    assert answer.status_code == 409 and "blank is not filled in" in words_of(answer)
    assert not Message.objects.filter(author=Message.Author.STAFF).exists()


def test_another_one_who_does_not_hold_the_case_changes_nothing(
    desk: Client, case: CrisisCase, colleague: User
) -> None:
    desk.post(address(case, "claim"))
    other = log_in(colleague)
    other.post(address(case, "open"))
    answers = [
        other.post(address(case, name), data, follow=True)
        for name, data in (
            ("claim", {}),
            ("acknowledge", {}),
            ("say", {"text": "Hello."}),
            ("hand-back", {"note": NOTE}),
            ("close", {"reason": "safe", "outcome": "none", "note": NOTE}),
        )
    ]
    for answer in answers:
        assert "A colleague has this case" in words_of(answer)
    held = CrisisCase.objects.get()
    assert held.state == State.IN_CARE and held.holder_id != colleague.pk
    assert not Message.objects.filter(author=Message.Author.STAFF).exists()


def test_one_tap_tells_the_contact_and_their_outcome_is_shown(desk: Client, case: CrisisCase) -> None:
    desk.post(address(case, "open"))
    recipient = case.ladder["4"][0]
    desk.post(address(case, "tell"), {"recipient": recipient})
    sent = Delivery.objects.get(template="near")
    Delivery.objects.filter(pk=sent.pk).update(state=Delivery.State.FAILED, error="refused")
    page = words_of(desk.get(address(case)))
    assert "failed" in page and "refused" in page and "Tell them again" in page
    wrong = desk.post(address(case, "tell"), {"recipient": "contact:somebody"}, follow=True)
    assert words.refusal("gone") in words_of(wrong)


def test_not_telling_takes_a_reason(desk: Client, case: CrisisCase) -> None:
    desk.post(address(case, "open"))
    desk.post(address(case, "withhold"), {"reason": "just so"})
    assert CrisisCase.objects.get().contact_due_at is not None
    desk.post(address(case, "withhold"), {"reason": "unsafe"})
    withheld = CrisisCase.objects.get()
    assert withheld.contact_due_at is None and withheld.safeguarding


def test_nobody_closes_a_case_unread(desk: Client, case: CrisisCase) -> None:
    ending = {"reason": "false_alarm", "outcome": "none", "note": NOTE}
    assert "Read the conversation first" in words_of(desk.post(address(case, "close"), ending, follow=True))
    assert CrisisCase.objects.get().state == State.OPEN
    desk.post(address(case, "open"))
    desk.post(address(case, "close"), ending)
    assert CrisisCase.objects.get().state == State.CLOSED


def test_a_second_human_looks_at_an_imminent_case(desk: Client, case: CrisisCase, colleague: User) -> None:
    desk.post(address(case, "open"))
    desk.post(address(case, "close"), {"reason": "safe", "outcome": "none", "note": NOTE})
    assert "a colleague has to look" in words_of(desk.get(QUEUE))
    assert "A second human" in words_of(desk.post(address(case, "second-look"), follow=True))
    other = log_in(colleague)
    assert "Waiting for a second look" in words_of(other.get(QUEUE))
    assert "Read the conversation first" in words_of(other.post(address(case, "second-look"), follow=True))
    assert SECRET in other.post(address(case, "open"), follow=True).content.decode()
    other.post(address(case, "second-look"))
    assert CrisisCase.objects.get().second_by == colleague
    assert "Waiting for a second look" not in words_of(other.get(QUEUE))


def test_on_the_next_day_a_human_asks_how_they_are(desk: Client, case: CrisisCase) -> None:
    desk.post(address(case, "open"))
    desk.post(address(case, "close"), {"reason": "safe", "outcome": "follow_up", "note": NOTE})
    assert "Check-ins due" not in words_of(desk.get(QUEUE))
    CrisisCase.objects.update(closed_at=clock.now() - timezone.timedelta(hours=25))
    assert "Check-ins due" in words_of(desk.get(QUEUE))
    desk.post(address(case, "follow-up"))
    assert "Check-ins due" not in words_of(desk.get(QUEUE))


def test_unknown_acts_and_cases_are_not_found(desk: Client, case: CrisisCase) -> None:
    assert desk.post(address(case, "erase")).status_code == 404
    assert desk.post(f"{QUEUE}999999/claim/").status_code == 404


def test_every_refusal_has_a_sentence() -> None:
    """Codes are raised as literals; none may meet the sentence for unknown ones."""
    from pathlib import Path

    sources = ("safety/cases.py", "safety/case_work.py", "safety/readings.py", "companion/takeover.py")
    sources += ("safety/views/console_acts.py",)
    root = Path(__file__).parents[2]
    codes = {
        code
        for source in sources
        for code in re.findall(r'(?:CaseError|Refused)\("(\w+)"\)', (root / source).read_text())
    }
    assert len(codes) > 10 and codes <= words.REFUSALS.keys(), codes - words.REFUSALS.keys()


def test_the_console_is_wholly_in_the_language_of_the_reader(case: CrisisCase, moderator: User) -> None:
    User.objects.filter(pk=moderator.pk).update(language="zh-hans")
    page = log_in(moderator).get(QUEUE).content.decode()
    assert '<html lang="zh-hans"' in page
