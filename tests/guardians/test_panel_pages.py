"""The panel as a page: who may open it, what the minor sees of it, and that no words of anybody are in it."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event, Notice, User
from companion import erasure
from companion.models import Conversation, Memory, Message, Persona
from guardians import access
from guardians.models import Guardianship, PanelOpening
from safety import cases
from safety.models import CaseNote, CrisisCase
from tests.cast import born, make_user
from tests.guardians.test_dashboard import told, used
from tests.live import companions
from tests.safety.test_cases import signal

__all__ = ["companions"]
pytestmark = pytest.mark.django_db
WORDS = "marked-words-of-the-minor"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.status_code
    assert response["Cache-Control"] == "no-store"
    return response.content.decode()


def with_role(minor: User, role: access.Role) -> User:
    """Another guardian with this role."""
    user = make_user(f"second-{role}", 50)
    link = Guardianship.objects.create(
        minor=minor, guardian=user, state="active", details=b"", consented_at=timezone.now()
    )
    access.give(link, role)
    return user


def panel_of(minor: User, page: str = "panel", **more: str) -> str:
    return reverse(page, kwargs={"minor_id": minor.pk, **more})


def talk(minor: User, slug: str = "botanist", words: str = WORDS) -> Conversation:
    """A conversation with marked words on both sides, and a memory of it."""
    persona = Persona.objects.get(slug=slug)
    conversation = Conversation.objects.create(user=minor, persona=persona)
    for author in (Message.Author.USER, Message.Author.AI):
        message = Message(conversation=conversation, author=author)
        message.seal(minor.pk, words)
        message.save()
    kept = Memory(user=minor, persona=persona)
    kept.seal(words)
    kept.save()
    return conversation


PATHS = [
    lambda minor: panel_of(minor),
    lambda minor: panel_of(minor, "panel_part", name="today"),
    lambda minor: panel_of(minor, "panel_history"),
]


@pytest.mark.parametrize("path", PATHS)
def test_only_guardians_who_may_see_it_find_a_page(
    path: Any, minor: User, guardian: User, outsider: User, moderator: User, supervisor: User
) -> None:
    other = make_user("other", 15)
    strangers = [
        outsider,
        moderator,
        supervisor,
        minor,
        with_role(other, access.Role.MANAGE),  # of another child
        with_role(minor, access.Role.ALERTS),
    ]
    for stranger in strangers:
        assert signed_in(stranger).get(path(minor)).status_code == 404, stranger.email
    assert Client().get(path(minor)).status_code == 302  # to the login
    assert signed_in(guardian).get(path(minor)).status_code == 200
    assert signed_in(guardian).get(path(other)).status_code == 404
    assert not PanelOpening.objects.exclude(guardian=guardian).exists()
    link = Guardianship.objects.get(minor=minor, guardian=guardian)
    Guardianship.objects.filter(pk=link.pk).update(state=Guardianship.State.ENDED)
    assert signed_in(guardian).get(path(minor)).status_code == 404


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_other_verbs_do_nothing(verb: str, minor: User, guardian: User) -> None:
    client = signed_in(guardian)
    for path in (panel_of(minor), panel_of(minor, "panel_part", name="today"), reverse("panel_mine")):
        assert getattr(client, verb)(path).status_code == 405
    assert not PanelOpening.objects.exists()


def test_a_part_that_there_is_not(minor: User, guardian: User) -> None:
    assert signed_in(guardian).get(panel_of(minor, "panel_part", name="messages")).status_code == 404


def test_a_guardian_who_may_only_see_cannot_delete(minor: User, companions: None) -> None:
    talk(minor)
    viewer = signed_in(with_role(minor, access.Role.VIEW))
    assert panel_of(minor, "panel_history") not in text_of(viewer, panel_of(minor))
    assert viewer.post(panel_of(minor, "panel_history"), {"companion": "all", "sure": "1"}).status_code == 404
    assert Message.objects.exclude(body=None).count() == 2


def test_each_opening_is_noted_once_a_minute_and_the_minor_reads_it(minor: User, guardian: User) -> None:
    client = signed_in(guardian)
    for _ in range(3):
        text_of(client, panel_of(minor))
    assert PanelOpening.objects.count() == 1
    PanelOpening.objects.update(opened_at=timezone.now() - dt.timedelta(minutes=2))
    text_of(client, panel_of(minor))
    assert PanelOpening.objects.count() == 2
    assert text_of(signed_in(minor), reverse("panel_mine")).count("Guardian: opened the page") == 2


def test_parts_cannot_be_read_past_the_log(minor: User, guardian: User) -> None:
    client = signed_in(guardian)
    for _ in range(3):
        text_of(client, panel_of(minor, "panel_part", name="today"))
    assert PanelOpening.objects.count() == 1


def test_the_minor_sees_exactly_the_same(minor: User, guardian: User, companions: None) -> None:
    used(minor, 23, Persona.objects.get(slug="botanist"))
    told(minor, 4)
    theirs = signed_in(guardian).get(panel_of(minor))
    own = signed_in(minor).get(reverse("panel_mine"))
    assert own.context["panel"] == theirs.context["panel"]
    for page in (own, theirs):
        assert page.templates[0].name == "guardians/panel.html"
    assert "C-" in own.content.decode() and "<form" not in own.content.decode().split("<main")[1]


def test_the_mirror_is_of_the_person_who_asks_and_of_nobody_else(
    minor: User, outsider: User, guardian: User
) -> None:
    assert signed_in(outsider).get(reverse("panel_mine")).status_code == 404
    link = Guardianship.objects.get(minor=minor)
    assert signed_in(guardian).get(reverse("panel_mine"), {"of": str(link.pk)}).status_code == 404
    alone = make_user("alone", 15)
    page = signed_in(alone).get(reverse("panel_mine"), {"of": str(link.pk)})
    assert page.status_code == 200 and "nobody can open a page about you" in page.content.decode()


def test_with_several_guardians_the_minor_chooses_whose_page(
    minor: User, guardian: User, moderator: User
) -> None:
    second = with_role(minor, access.Role.VIEW)
    with_role(minor, access.Role.ALERTS)
    cases.tell_contact_now(signal(minor, 4).pk, moderator, f"guardian:{guardian.pk}", timezone.now())
    client = signed_in(minor)
    first = client.get(reverse("panel_mine"))
    assert [link.guardian for link in first.context["seeing"]] == [guardian, second]
    assert len(first.context["panel"].alerts) == 1
    link = Guardianship.objects.get(guardian=second)
    assert client.get(reverse("panel_mine"), {"of": str(link.pk)}).context["panel"].alerts == ()


@pytest.mark.parametrize("name", ["settings", "gallery"])
def test_the_minors_pages_always_say_that_there_is_such_a_page(minor: User, adult: User, name: str) -> None:
    assert reverse("panel_mine") in signed_in(minor).get(reverse(name)).content.decode()
    assert reverse("panel_mine") not in signed_in(adult).get(reverse(name)).content.decode()


@pytest.mark.parametrize("years", [12, 15, 17])
def test_no_words_of_anybody_are_in_the_page(
    years: int, minor: User, guardian: User, moderator: User, companions: None
) -> None:
    User.objects.filter(pk=minor.pk).update(birth_date=born(years))
    minor = User.objects.get(pk=minor.pk)
    talk(minor)
    draft = Persona(author=minor, slug="own", relationship="friend", age_rating="minor", state="draft")
    draft.seal_card({"name": WORDS, "tagline": WORDS, "greeting": WORDS, "character": WORDS})
    draft.save()
    used(minor, 12, draft)
    case = told(minor, 4)
    note = CaseNote(case=case, author=moderator)
    note.seal(minor.pk, WORDS)
    note.save()
    Notice.objects.create(user=minor, kind="dependence", version="1", occasion="x", shown_at=timezone.now())
    client = signed_in(guardian)
    pages = [panel_of(minor), panel_of(minor, "panel_history")]
    pages += [panel_of(minor, "panel_part", name=name) for name in ("today", "alerts")]
    for path in pages:
        text = text_of(client, path)
        assert WORDS not in text and case.category not in text and "crisis" not in text.lower()
    assert WORDS not in text_of(signed_in(minor), reverse("panel_mine"))


def test_at_the_age_of_weeks_no_day_is_named(minor: User, guardian: User, companions: None) -> None:
    User.objects.filter(pk=minor.pk).update(birth_date=born(17))
    used(minor, 37, Persona.objects.get(slug="botanist"))
    main = text_of(signed_in(guardian), panel_of(minor)).split("<main")[1]
    assert "37" in main  # of the week
    assert "Today&#x27;s time" not in main and "37 of" not in main
    assert "The last four weeks" in main and "Minutes by day" not in main


def test_an_empty_page_and_one_with_long_names_and_many_notices(minor: User, guardian: User) -> None:
    client = signed_in(guardian)
    assert "No time with companions yet" in text_of(client, panel_of(minor))
    User.objects.filter(pk=minor.pk).update(nickname="名" * 40)
    for _ in range(25):
        case = told(minor, 4)
        CrisisCase.objects.filter(pk=case.pk).update(
            state="closed", closed_at=timezone.now(), next_due_at=None, climb_due_at=None
        )
    text = text_of(client, panel_of(minor))
    assert "名" * 40 in text and "20 notices that are over" in text


def test_the_page_is_few_queries_and_few_bytes(
    minor: User, guardian: User, companions: None, django_assert_max_num_queries: Any
) -> None:
    for back in range(28):
        used(minor, 5, Persona.objects.get(slug="botanist"), back=back)
    told(minor, 4)
    client = signed_in(guardian)
    text_of(client, panel_of(minor))
    with django_assert_max_num_queries(60):
        text = text_of(client, panel_of(minor))
    assert len(text.encode()) < 60_000


# --- history deleted on the minor's behalf ---------------------------------------------------------------------------


def erase(client: Client, minor: User, **form: str) -> Any:
    return client.post(panel_of(minor, "panel_history"), form)


def test_everything_is_deleted_and_the_minor_is_told(minor: User, guardian: User, companions: None) -> None:
    conversation = talk(minor)
    other = talk(minor, "lighthouse")
    client = signed_in(guardian)
    assert erase(client, minor, companion="all").status_code == 422  # without the box
    assert erase(client, minor, companion=str(uuid.uuid4()), sure="1").status_code == 422
    assert Message.objects.exclude(body=None).count() == 4
    assert erase(client, minor, companion="all", sure="1").status_code == 302
    assert not Message.objects.exclude(body=None).exists() and not Memory.objects.exists()
    for each in (conversation, other):
        assert [line.code for line in each.messages.all()] == ["history.erased_by_guardian"]
    events = Event.objects.filter(user=minor, kind="history.erased")
    assert set(events.values_list("conversation", flat=True)) == {conversation.public_id, other.public_id}
    assert WORDS not in json.dumps(list(events.values_list("data", flat=True)))
    own = signed_in(minor)
    assert "Guardian: deleted conversations" in text_of(own, reverse("panel_mine"))
    chat = own.get(reverse("chat", args=[conversation.public_id])).content.decode()
    assert "deleted by somebody who looks after you" in chat and WORDS not in chat


def test_one_companion_of_those_that_are_named(minor: User, guardian: User, companions: None) -> None:
    talk(minor)
    kept = talk(minor, "lighthouse")
    botanist = Persona.objects.get(slug="botanist")
    used(minor, 5, botanist)
    assert erase(signed_in(guardian), minor, companion=str(botanist.public_id), sure="1").status_code == 302
    assert {row.conversation for row in Message.objects.exclude(body=None)} == {kept}
    assert [row.persona for row in Memory.objects.all()] == [kept.persona]


def test_it_waits_for_the_end_of_a_case_which_keeps_its_sealed_excerpt(
    minor: User, guardian: User, companions: None
) -> None:
    talk(minor)
    case = told(minor, 4)
    erase(signed_in(guardian), minor, companion="all", sure="1")
    assert erasure.carry_out(timezone.now()) == 0
    assert Message.objects.exclude(body=None).count() == 2
    CrisisCase.objects.update(state=CrisisCase.State.CLOSED, closed_at=timezone.now(), next_due_at=None)
    assert erasure.carry_out(timezone.now()) == 1
    assert not Message.objects.exclude(body=None).exists()
    assert erasure.carry_out(timezone.now()) == 0
    [signal] = case.signals.all()
    assert signal.open(minor.pk) == "…"


def test_who_is_no_guardian_any_more_when_the_case_ends_deletes_nothing(
    minor: User, guardian: User, companions: None
) -> None:
    talk(minor)
    told(minor, 4)
    erase(signed_in(guardian), minor, companion="all", sure="1")
    Guardianship.objects.filter(minor=minor).update(state=Guardianship.State.ENDED)
    CrisisCase.objects.update(state=CrisisCase.State.CLOSED, closed_at=timezone.now(), next_due_at=None)
    assert erasure.carry_out(timezone.now()) == 0
    assert Message.objects.exclude(body=None).count() == 2


def test_a_form_from_elsewhere_deletes_nothing(minor: User, guardian: User, companions: None) -> None:
    talk(minor)
    client = Client(enforce_csrf_checks=True)
    client.force_login(guardian)
    assert erase(client, minor, companion="all", sure="1").status_code == 403
    assert Message.objects.exclude(body=None).count() == 2
