"""A minor asks a human to end a guardian's link: who decides, who learns of it, and what follows."""

import datetime as dt
import uuid

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from companion import rulings
from guardians import access, endings, invitations, links
from guardians.limits import effective_policy
from guardians.models import Guardianship
from safety import appeals, cases, recipients
from safety.engine import Verdict
from safety.models import Appeal, CareNotice, CrisisCase, Delivery, Lane, OperationsAlert, Shift
from safety.moderation import NotPossible
from tests.cast import make_user, with_contact, with_guardian
from tests.guardians.test_roles import joined

pytestmark = pytest.mark.django_db(transaction=True)
Subject, Decision, Reason = Appeal.Subject, Appeal.Decision, Appeal.Reason


@pytest.fixture
def link(minor: User, guardian: User) -> Guardianship:
    return Guardianship.objects.get(minor=minor, guardian=guardian)


@pytest.fixture
def lead(db: None) -> User:
    """Leads protection; has a shift, so that nobody else does it."""
    user = with_contact(make_user("lead", 50, role=User.Role.MODERATOR, is_staff=True))
    now = timezone.now()
    Shift.objects.create(
        user=user, role=Shift.Role.SAFEGUARDING, starts_at=now, ends_at=now + dt.timedelta(hours=8)
    )
    return user


def filed(minor: User, link: Guardianship, *, unsafe: bool = False, text: str = "please look") -> Appeal:
    now = timezone.now()
    against = rulings.ground(minor, Subject.GUARDIAN, link.pk, now)
    assert against is not None
    return rulings.file(minor, Subject.GUARDIAN, link.pk, text, against, now, unsafe=unsafe)


def decide(staff: User, row: Appeal, decision: Appeal.Decision = Decision.UPHELD) -> Appeal:
    return rulings.decide_appeal(staff, row.pk, decision, Reason.NEW_FACTS, "we looked", timezone.now())


def state(link: Guardianship) -> str:
    return Guardianship.objects.get(pk=link.pk).state


def told() -> set[str]:
    return set(Delivery.objects.filter(care__isnull=False).values_list("recipient", flat=True))


def client_of(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def test_a_human_ends_the_link_and_the_account_stays_in_minors_mode(
    minor: User, guardian: User, link: Guardianship, moderator: User
) -> None:
    row = filed(minor, link)
    assert (row.lane, told()) == (Lane.MINORS, set())  # filing tells nobody
    decide(moderator, row)
    assert state(link) == Guardianship.State.ENDED
    policy = effective_policy(User.objects.get(pk=minor.pk), timezone.now())
    assert (policy.missing, policy.is_minor) == ("guardian", True)
    assert told() == {f"guardian:{guardian.pk}"}


def test_a_no_changes_nothing(minor: User, link: Guardianship, moderator: User) -> None:
    decide(moderator, filed(minor, link), Decision.REJECTED)
    assert state(link) == Guardianship.State.ACTIVE
    with pytest.raises(NotPossible) as error:
        filed(minor, link)
    assert error.value.code == "already"
    # The guardian's no is a new reason to ask.
    endings.ask(link, minor=minor, now=timezone.now())
    endings.answer(link, False, guardian=User.objects.get(pk=link.guardian_id), now=timezone.now())
    assert filed(minor, link).state == "open"


def test_only_the_minor_appeals_and_only_about_a_link_in_force(
    minor: User, guardian: User, link: Guardianship, outsider: User
) -> None:
    for other in (guardian, outsider):
        assert rulings.ground(other, Subject.GUARDIAN, link.pk, timezone.now()) is None
    endings.end(link, by=guardian, now=timezone.now())
    assert rulings.ground(minor, Subject.GUARDIAN, link.pk, timezone.now()) is None


def test_a_guardian_who_works_here_does_not_decide_about_themselves(
    minor: User, guardian: User, link: Guardianship
) -> None:
    User.objects.filter(pk=guardian.pk).update(is_staff=True, role=User.Role.MODERATOR)
    staff = User.objects.get(pk=guardian.pk)
    row = filed(minor, link)
    assert not appeals.may_decide(staff, row)
    with pytest.raises(NotPossible) as error:
        decide(staff, row)
    assert error.value.code == "same_person"


def test_who_does_not_feel_safe_is_heard_by_who_leads_protection_and_the_guardian_is_told_nothing(
    minor: User, guardian: User, link: Guardianship, moderator: User, lead: User
) -> None:
    row = filed(minor, link, unsafe=True)
    assert row.lane == Lane.SAFETY
    assert row.due_at - row.created_at == dt.timedelta(hours=24)
    assert OperationsAlert.objects.get(code="appeal.safeguarding").subject == row.number
    assert not appeals.may_decide(moderator, row)
    with pytest.raises(NotPossible) as error:
        decide(moderator, row)
    assert error.value.code == "not_lead"
    decide(lead, row)
    assert state(link) == Guardianship.State.ENDED
    assert told() == set()
    assert OperationsAlert.objects.get(code="appeal.safeguarding").resolved_at is not None


def test_while_it_is_open_a_new_danger_is_not_told_to_that_guardian(
    minor: User, guardian: User, link: Guardianship, lead: User
) -> None:
    assert recipients.near(minor) == [f"guardian:{guardian.pk}"]
    row = filed(minor, link, unsafe=True)
    assert recipients.near(minor) == []
    decide(lead, row, Decision.REJECTED)
    assert recipients.near(minor) == [f"guardian:{guardian.pk}"]


def danger(minor: User, category: CrisisCase.Category) -> CrisisCase:
    verdict = Verdict(level=3, action="safety", reasons=("test",), scores={}, version="t")
    return cases.raise_signal(
        minor, message=uuid.uuid4(), conversation=uuid.uuid4(), verdict=verdict, category=category, text="-"
    )


def test_the_guardian_leaves_the_ladder_of_a_case_that_is_open(
    minor: User, guardian: User, link: Guardianship
) -> None:
    case = danger(minor, CrisisCase.Category.SELF_HARM)
    assert case.ladder["4"] == [f"guardian:{guardian.pk}"]
    filed(minor, link, unsafe=True)
    case.refresh_from_db()
    assert (case.ladder["4"], case.safeguarding) == ([], True)


def test_harm_nearby_makes_it_confidential_without_being_said(minor: User, link: Guardianship) -> None:
    danger(minor, CrisisCase.Category.ABUSE)
    assert appeals.confidential(filed(minor, link))


def test_what_is_open_becomes_confidential_by_what_is_said_later(minor: User, link: Guardianship) -> None:
    first = filed(minor, link, text="first")
    again = filed(minor, link, unsafe=True, text="second")
    assert again.pk == first.pk
    row = Appeal.objects.get()
    assert appeals.confidential(row)
    assert row.open("text") == "first\n\nsecond"


def test_without_shifts_of_that_role_operators_lead(
    minor: User, link: Guardianship, moderator: User, supervisor: User
) -> None:
    row = filed(minor, link, unsafe=True)
    assert appeals.may_decide(supervisor, row)
    assert not appeals.may_decide(moderator, row)


def test_another_guardian_stays_and_talking_goes_on(
    minor: User, guardian: User, link: Guardianship, moderator: User, outsider: User
) -> None:
    other = joined(minor, guardian, outsider)
    decide(moderator, filed(minor, link))
    assert access.role_of(other) is access.Role.MANAGE
    assert links.in_force(minor) and invitations.may_confirm(other, outsider)
    assert effective_policy(User.objects.get(pk=minor.pk), timezone.now()).missing == ""


def test_the_form_and_the_queue(
    minor: User, guardian: User, link: Guardianship, moderator: User, lead: User, outsider: User
) -> None:
    address = f"{reverse('appeal_new')}?about=guardian&id={link.pk}"
    assert client_of(outsider).get(address).status_code == 404
    assert client_of(guardian).get(address).status_code == 404
    child = client_of(minor)
    assert "whether this link should end" in child.get(address).content.decode()
    sent = child.post(address, {"text": "I would rather not", "unsafe": "on"}, follow=True)
    assert "A person of our team answers it by" in sent.content.decode()
    assert "looks at whether this link ends" in child.get(reverse("care")).content.decode()
    row = Appeal.objects.get()
    assert appeals.confidential(row)
    decide_at = reverse("admin:safety_appeal_decide", args=[row.pk])
    assert client_of(moderator).get(decide_at).status_code in (302, 403)
    panel = client_of(guardian).get(reverse("panel", args=[minor.pk])).content.decode()
    assert row.number not in panel and "Ask a person" not in panel


def test_a_sibling_is_not_touched(minor: User, guardian: User, link: Guardianship, moderator: User) -> None:
    sibling = make_user("sibling", 12)
    theirs = with_guardian(sibling, guardian)
    decide(moderator, filed(minor, link))
    assert state(theirs) == Guardianship.State.ACTIVE
    assert CareNotice.objects.get().user == minor
