"""Who becomes a guardian, and who does not (N36): one use, 48 hours, bound to address and minor, both sides say yes."""

import datetime as dt
import threading
import uuid

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import AuditEntry, User
from guardians import consents, invitations, links
from guardians.consents import Boxes
from guardians.invitations import InvitationError, State
from guardians.limits import effective_policy
from guardians.models import Consent, Guardianship, Invitation
from tests.cast import GUARDIAN, make_user

ALL = Boxes(True, True, True)
MAIL, CODE = Invitation.Method.MAIL, Invitation.Method.CODE
pytestmark = pytest.mark.django_db


@pytest.fixture
def young(db: None) -> User:
    return make_user("young", 15)


def named(minor: User, details: ContactDetails = GUARDIAN) -> Guardianship:
    return links.invite(minor, details, actor=minor.pk, now=timezone.now())


def token_of(link: Guardianship, method: str = MAIL, now: dt.datetime | None = None) -> str:
    return invitations.create(link, method, actor=link.minor_id, now=now or timezone.now())


def accept(token: str, user: User, *, minors_browser: bool = False, boxes: Boxes = ALL) -> Guardianship:
    return invitations.accept(token, user, boxes, minors_browser=minors_browser, now=timezone.now())


def missing(minor: User) -> str:
    return effective_policy(User.objects.get(pk=minor.pk), timezone.now()).missing


def refused(token: str, user: User, **how: bool) -> str:
    with pytest.raises(InvitationError) as error:
        accept(token, user, **how)
    return error.value.code


def test_the_named_address_answers_and_the_minor_may_talk(young: User, guardian: User) -> None:
    link = accept(token_of(named(young)), guardian)
    assert (link.state, link.guardian, missing(young)) == (State.ACTIVE, guardian, "")
    consent = Consent.objects.get(link=link)
    assert (consent.version, consent.method, consent.withdrawn_at) == (consents.VERSION, MAIL, None)


def test_only_the_hash_of_a_token_is_kept(young: User) -> None:
    token = token_of(named(young))
    assert len(token) >= 43  # 256 bits
    row = Invitation.objects.values().get()
    assert token not in str(row)
    assert not AuditEntry.objects.filter(data__icontains=token).exists()


def test_a_token_is_for_one_use(young: User, guardian: User) -> None:
    token = token_of(named(young))
    accept(token, guardian)
    assert refused(token, guardian) == "over"


@pytest.mark.django_db(transaction=True)
def test_of_many_clicks_at_once_one_makes_a_link(young: User, guardian: User) -> None:
    token = token_of(named(young))
    outcomes: list[str] = []
    ready = threading.Barrier(100)
    connections = threading.Semaphore(80)  # as many as the database of the tests has

    def click() -> None:
        ready.wait()
        with connections:
            answer()

    def answer() -> None:
        try:
            outcomes.append(accept(token, guardian).state)
        except InvitationError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 100
    assert outcomes.count(State.ACTIVE) == 1
    assert set(outcomes) <= {State.ACTIVE, "over", "already"}
    assert Consent.objects.count() == Guardianship.objects.count() == 1


def test_it_ends_after_48_hours(young: User, guardian: User) -> None:
    link = named(young)
    long_ago = timezone.now() - dt.timedelta(hours=48)
    assert refused(token_of(link, now=long_ago), guardian) == "over"
    just_in_time = token_of(link, now=long_ago + dt.timedelta(minutes=1))
    assert accept(just_in_time, guardian).state == State.ACTIVE


def test_a_newer_invitation_takes_the_place_of_the_older(young: User, guardian: User) -> None:
    link = named(young)
    older, newer = token_of(link), token_of(link, CODE)
    assert refused(older, guardian) == "over"
    accept(newer, guardian)


def test_naming_somebody_else_ends_the_invitation_of_the_first(young: User, guardian: User) -> None:
    token = token_of(named(young))
    named(young, ContactDetails("Li Ning", "father", email="father@example.org"))
    assert refused(token, guardian) == "unknown"


def test_a_made_up_token_opens_nothing(young: User, guardian: User) -> None:
    named(young)
    assert refused(uuid.uuid4().hex, guardian) == "unknown"


def test_a_forwarded_mail_is_no_invitation_for_another_account(young: User, outsider: User) -> None:
    assert refused(token_of(named(young)), outsider) == "other_address"


def test_an_address_that_is_not_confirmed_counts_for_nothing(young: User, guardian: User) -> None:
    EmailAddress.objects.filter(user=guardian).update(verified=False)
    assert refused(token_of(named(young)), guardian) == "unverified"


@pytest.mark.parametrize("method", [MAIL, CODE])
def test_a_minor_is_nobodys_guardian_and_nobody_their_own(young: User, method: str) -> None:
    sibling = make_user("sibling", 17)
    details = ContactDetails("Zhou", "guardian", email=sibling.email)
    token = token_of(named(young, details), method)
    assert refused(token, sibling) == "minor"
    assert refused(token, young) == "own"


@pytest.mark.parametrize("address", ["young+mother@example.org", "YOUNG@example.org"])
def test_the_minors_own_mailbox_under_another_name_is_seen(young: User, address: str) -> None:
    second = make_user("second", 40)
    EmailAddress.objects.filter(user=second).update(email=address)
    assert refused(token_of(named(young), CODE), second) == "own"


def test_a_second_account_in_the_minors_browser_is_seen(young: User, guardian: User) -> None:
    assert refused(token_of(named(young)), guardian, minors_browser=True) == "same_browser"


def test_consent_is_whole_or_none(young: User, guardian: User) -> None:
    token = token_of(named(young))
    for boxes in (Boxes(False, True, True), Boxes(True, False, True), Boxes(True, True, False)):
        with pytest.raises(ValueError):
            accept(token, guardian, boxes=boxes)
    assert missing(young) == "guardian_consent"
    accept(token, guardian)  # none of the attempts used the token up


def test_who_answers_a_code_is_confirmed_by_the_minor(young: User, outsider: User, guardian: User) -> None:
    link = accept(token_of(named(young), CODE), outsider)
    assert (link.state, missing(young)) == (State.ACCEPTED, "guardian_consent")
    for stranger in (outsider, guardian):
        with pytest.raises(links.LinkError):
            invitations.confirm(link, by=stranger)
    invitations.confirm(link, by=young)
    assert missing(young) == ""
    with pytest.raises(links.LinkError):
        invitations.refuse(link, by=young, now=timezone.now())  # too late


def test_the_minor_may_say_that_it_was_somebody_else(young: User, outsider: User, guardian: User) -> None:
    link = accept(token_of(named(young), CODE), outsider)
    invitations.refuse(link, by=young, now=timezone.now())
    assert missing(young) == "guardian"
    assert accept(token_of(named(young)), guardian).state == State.ACTIVE


def test_a_second_guardian_needs_the_first_ones_yes(young: User, guardian: User, outsider: User) -> None:
    accept(token_of(named(young)), guardian)
    link = accept(token_of(named(young, ContactDetails("Li Ning", "father", email=outsider.email))), outsider)
    assert link.state == State.ACCEPTED
    for other in (young, outsider):
        with pytest.raises(links.LinkError):
            invitations.confirm(link, by=other)
    invitations.confirm(link, by=guardian)
    assert [row.state for row in links.of(young)] == [State.ACTIVE, State.ACTIVE]


def test_invitations_by_mail_are_few_a_day(young: User) -> None:
    link = named(young)
    for _ in range(invitations.PER_DAY):
        token_of(link)
    with pytest.raises(InvitationError) as error:
        token_of(link)
    assert error.value.code == "too_many"
    token_of(link, CODE)  # the code floods nobody


def test_without_an_address_there_is_the_code(young: User) -> None:
    link = named(young, ContactDetails("Zhou Lan", "mother", phone="+8613800138000"))
    with pytest.raises(InvitationError) as error:
        token_of(link)
    assert error.value.code == "no_address"


def test_withdrawn_consent_ends_talking_and_keeps_the_guardian(young: User, guardian: User) -> None:
    link = accept(token_of(named(young)), guardian)
    before = User.objects.get(pk=young.pk).policy_generation
    assert consents.withdraw(link, guardian, timezone.now())
    assert not consents.withdraw(link, guardian, timezone.now())
    assert missing(young) == "guardian_consent"
    assert User.objects.get(pk=young.pk).policy_generation > before
    assert Guardianship.objects.get().state == State.ACTIVE
    assert consents.give_again(link, guardian, ALL, timezone.now())
    assert not consents.give_again(link, guardian, ALL, timezone.now())
    assert missing(young) == ""
    assert Consent.objects.count() == 2  # the history stays


def test_nobody_else_withdraws_or_gives(young: User, guardian: User, outsider: User) -> None:
    link = accept(token_of(named(young)), guardian)
    for other in (young, outsider):
        assert not consents.withdraw(link, other, timezone.now())
        assert not consents.give_again(link, other, ALL, timezone.now())
    assert missing(young) == ""
