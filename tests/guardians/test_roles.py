"""Guardians among each other: who may do what, who changes it, and how a link ends."""

import datetime as dt
import re
import threading
import uuid
from dataclasses import replace

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import AuditEntry, Event, User
from companion import coming_of_age, tasks
from companion.models import Message
from guardians import access, consents, endings, invitations, links, roles
from guardians.access import Right, Role
from guardians.consents import Boxes
from guardians.limits import effective_policy
from guardians.links import LinkError
from guardians.models import Consent, GuardianRight, Guardianship, Invitation
from safety import recipients
from safety.models import CareNotice, Delivery
from tests.cast import PASSWORD, born, make_user, with_guardian
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db
State = Guardianship.State
ALL = Boxes(True, True, True)


@pytest.fixture
def father(db: None) -> User:
    return make_user("father", 46)


@pytest.fixture
def own(minor: User, guardian: User) -> Guardianship:
    return Guardianship.objects.get(minor=minor, guardian=guardian)


def details_of(user: User) -> ContactDetails:
    return ContactDetails("Li Ning", "father", email=user.email)


def answered(link: Guardianship, user: User, method: str = Invitation.Method.MAIL) -> Guardianship:
    now = timezone.now()
    token = invitations.create(link, method, actor=link.minor_id, now=now)
    return invitations.accept(token, user, ALL, minors_browser=False, now=now)


def joined(minor: User, first: User, other: User, role: Role = Role.VIEW) -> Guardianship:
    """Somebody more who looks after this minor."""
    now = timezone.now()
    link = links.invite(minor, details_of(other), actor=first.pk, now=now, by=first, role=role)
    link = answered(link, other)
    assert link.state == State.ACTIVE
    return link


def missing(minor: User) -> str:
    return effective_policy(User.objects.get(pk=minor.pk), timezone.now()).missing


def generation(minor: User) -> int:
    return User.objects.get(pk=minor.pk).policy_generation


def signed_in(user: User, *, sure: bool = False) -> Client:
    """`sure`: they have just confirmed that it is them."""
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    if sure:
        client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def told(kind: str = CareNotice.Kind.GUARDIANS) -> set[str]:
    """Who has rows in the outbox of such a notice."""
    return set(Delivery.objects.filter(care__kind=kind).values_list("recipient", flat=True))


# --- roles ---------------------------------------------------------------------------------------------------


def test_the_first_guardian_manages_and_the_next_may_look(minor: User, guardian: User, father: User) -> None:
    link = joined(minor, guardian, father)
    assert access.role_of(Guardianship.objects.get(guardian=guardian)) is Role.MANAGE
    assert access.role_of(link) is Role.VIEW
    assert access.link_of(father, minor.pk, Right.VIEW) == link
    for right in (Right.EDIT, Right.DELETE):
        with pytest.raises(access.NotFound):
            access.link_of(father, minor.pk, right)


@pytest.mark.parametrize("role", list(Role))
def test_whoever_manages_chooses_the_role_when_naming(
    minor: User, guardian: User, father: User, role: Role
) -> None:
    assert access.role_of(joined(minor, guardian, father, role)) is role


@pytest.mark.parametrize("role", list(Role))
def test_whoever_manages_chooses_the_role_when_saying_yes(
    minor: User, guardian: User, father: User, role: Role
) -> None:
    link = answered(links.invite(minor, details_of(father), actor=minor.pk, now=timezone.now()), father)
    assert link.state == State.ACCEPTED
    with pytest.raises(access.NotFound):
        access.link_of(father, minor.pk, Right.ALERTS)
    invitations.confirm(link, by=guardian, role=role)
    assert access.role_of(link) is role
    assert AuditEntry.objects.get(action="guardian.confirmed").data["role"] == role


def test_who_only_looks_says_yes_to_nobody(minor: User, guardian: User, father: User, outsider: User) -> None:
    joined(minor, guardian, father)
    link = answered(links.invite(minor, details_of(outsider), actor=minor.pk, now=timezone.now()), outsider)
    with pytest.raises(LinkError):
        invitations.confirm(link, by=father, role=Role.MANAGE)
    with pytest.raises(LinkError):
        invitations.refuse(link, by=father, now=timezone.now())


def test_roles_are_changed_by_who_manages_and_by_nobody_else(
    minor: User, guardian: User, father: User, outsider: User
) -> None:
    link = joined(minor, guardian, father)
    for other in (father, outsider, minor):  # not upwards, not by strangers, not by the minor
        with pytest.raises(LinkError):
            roles.change(link, Role.MANAGE, by=other)
    before = generation(minor)
    assert roles.change(link, Role.ALERTS, by=guardian)
    assert not roles.change(link, Role.ALERTS, by=guardian)
    assert access.role_of(link) is Role.ALERTS
    assert generation(minor) == before + 1
    entry = AuditEntry.objects.get(action="guardian.role_changed")
    assert (entry.actor, entry.subject, entry.data) == (guardian.pk, minor.pk, {"role": "alerts"})


def test_equals_have_no_power_over_each_other(minor: User, guardian: User, father: User) -> None:
    link = joined(minor, guardian, father, Role.MANAGE)
    for act in (
        lambda: roles.change(link, Role.VIEW, by=guardian),
        lambda: endings.end(link, by=guardian, now=timezone.now()),
    ):
        with pytest.raises(LinkError) as error:
            act()
        assert error.value.code == "equal"
    assert roles.change(link, Role.VIEW, by=father)  # they step down themselves


def test_a_minor_is_never_without_somebody_who_manages(
    minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    link = joined(minor, guardian, father)
    with pytest.raises(LinkError) as error:
        roles.change(own, Role.VIEW, by=guardian)
    assert error.value.code == "last"
    endings.end(own, by=guardian, now=timezone.now())
    assert access.role_of(link) is Role.MANAGE  # whoever is left follows
    assert missing(minor) == ""  # and has agreed


def test_a_link_of_another_child_gives_nothing_here(minor: User, guardian: User, father: User) -> None:
    sibling = make_user("sibling", 12)
    with_guardian(sibling, father)
    link = joined(minor, guardian, father)
    with pytest.raises(LinkError):
        roles.change(link, Role.MANAGE, by=father)
    with pytest.raises(access.NotFound):
        access.link_of(father, minor.pk, Right.EDIT)
    assert access.link_of(father, sibling.pk, Right.EDIT).minor == sibling


def test_who_does_not_manage_neither_gives_nor_withdraws_consent(
    minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    link, now = joined(minor, guardian, father), timezone.now()
    assert not consents.withdraw(link, father, now)
    assert consents.withdraw(own, guardian, now)
    # What they agreed to when they answered is no consent to talk on.
    assert missing(minor) == "guardian_consent"
    assert not consents.in_force(minor)
    assert not consents.give_again(link, father, ALL, now)
    roles.change(link, Role.MANAGE, by=guardian)
    assert missing(minor) == ""
    assert consents.withdraw(link, father, now)
    assert missing(minor) == "guardian_consent"


def test_notices_of_a_danger_go_to_every_role_and_to_nobody_whose_link_is_over(
    minor: User, guardian: User, father: User, outsider: User
) -> None:
    joined(minor, guardian, father, Role.ALERTS)
    over = joined(minor, guardian, outsider)
    both = {f"guardian:{guardian.pk}", f"guardian:{father.pk}", f"guardian:{outsider.pk}"}
    assert set(recipients.near(minor)) == both
    endings.end(over, by=guardian, now=timezone.now())
    assert set(recipients.near(minor)) == both - {f"guardian:{outsider.pk}"}
    GuardianRight.objects.filter(user=father).delete()
    assert recipients.near(minor) == [f"guardian:{guardian.pk}"]


# --- naming --------------------------------------------------------------------------------------------------


def test_whoever_named_them_by_code_says_who_it_was(
    minor: User, guardian: User, father: User, outsider: User
) -> None:
    now = timezone.now()
    link = links.invite(minor, details_of(father), actor=guardian.pk, now=now, by=guardian)
    link = answered(link, outsider, Invitation.Method.CODE)
    assert link.state == State.ACCEPTED
    with pytest.raises(LinkError):
        invitations.confirm(link, by=minor)
    invitations.refuse(link, by=guardian, now=now)
    assert access.guardians_of(minor).get() == guardian
    assert not Consent.objects.filter(link=link, withdrawn_at=None).exists()


def test_naming_ends_with_the_one_who_named(
    minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    now = timezone.now()
    link = links.invite(minor, details_of(father), actor=guardian.pk, now=now, by=guardian)
    token = invitations.create(link, Invitation.Method.MAIL, actor=guardian.pk, now=now)
    endings.end(own, by=guardian, now=now)
    with pytest.raises(invitations.InvitationError) as error:
        invitations.accept(token, father, ALL, minors_browser=False, now=now)
    assert error.value.code == "unknown"


def test_a_guardian_whose_inviter_does_not_manage_any_more_needs_a_yes(
    minor: User, guardian: User, own: Guardianship, father: User, outsider: User
) -> None:
    joined(minor, guardian, father, Role.MANAGE)
    link = links.invite(minor, details_of(outsider), actor=guardian.pk, now=timezone.now(), by=guardian)
    roles.change(own, Role.VIEW, by=guardian)
    assert answered(link, outsider).state == State.ACCEPTED


def test_each_side_names_for_itself(minor: User, guardian: User, father: User, outsider: User) -> None:
    now = timezone.now()
    by_guardian = links.invite(minor, details_of(father), actor=guardian.pk, now=now, by=guardian)
    by_minor = links.invite(minor, details_of(outsider), actor=minor.pk, now=now)
    assert {link.pk for link in links.of(minor)} >= {by_guardian.pk, by_minor.pk}
    links.invite(minor, replace(details_of(outsider), name="Li"), actor=minor.pk, now=now)
    assert Guardianship.objects.filter(pk=by_guardian.pk).exists()
    assert not Guardianship.objects.filter(pk=by_minor.pk).exists()


def test_only_who_manages_names(minor: User, guardian: User, father: User, outsider: User) -> None:
    joined(minor, guardian, father)
    for other in (father, outsider):
        with pytest.raises(LinkError):
            links.invite(minor, details_of(outsider), actor=other.pk, now=timezone.now(), by=other)


# --- the end -------------------------------------------------------------------------------------------------


def test_the_last_guardian_leaves_and_nobody_talks_until_somebody_agrees(
    minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    before = generation(minor)
    endings.end(own, by=guardian, now=timezone.now())
    assert missing(minor) == "guardian"
    assert generation(minor) == before + 1
    assert effective_policy(
        User.objects.get(pk=minor.pk), timezone.now()
    ).is_minor  # in minors' mode all the same
    assert not GuardianRight.objects.exists()
    assert not Consent.objects.filter(withdrawn_at=None).exists()
    assert AuditEntry.objects.get(action="guardian.ended").data == {"how": "left"}
    with_guardian(minor, father)
    assert missing(minor) == ""


def test_strangers_and_the_minor_end_nothing(
    minor: User, own: Guardianship, father: User, outsider: User
) -> None:
    for other in (minor, father, outsider):
        with pytest.raises(LinkError):
            endings.end(own, by=other, now=timezone.now())
    assert links.in_force(minor)


def test_the_minor_asks_and_the_guardian_answers(minor: User, guardian: User, own: Guardianship) -> None:
    now = timezone.now()
    endings.ask(own, minor=minor, now=now)
    with pytest.raises(LinkError) as error:
        endings.ask(own, minor=minor, now=now)
    assert error.value.code == "asked"
    assert missing(minor) == ""  # nothing has changed yet
    endings.answer(own, False, guardian=guardian, now=now)
    with pytest.raises(LinkError) as error:
        endings.ask(own, minor=minor, now=now + endings.ASK_AGAIN - dt.timedelta(seconds=1))
    assert error.value.code == "not_yet"
    endings.ask(own, minor=minor, now=now + endings.ASK_AGAIN)
    endings.answer(own, True, guardian=guardian, now=now + endings.ASK_AGAIN)
    assert missing(minor) == "guardian"


def test_nobody_answers_for_the_guardian_or_asks_for_the_minor(
    minor: User, guardian: User, own: Guardianship, father: User, outsider: User
) -> None:
    joined(minor, guardian, father, Role.MANAGE)
    now = timezone.now()
    for other in (outsider, father, guardian):
        with pytest.raises(LinkError):
            endings.ask(own, minor=other, now=now)
    with pytest.raises(LinkError):
        endings.answer(own, True, guardian=guardian, now=now)  # nobody has asked
    endings.ask(own, minor=minor, now=now)
    for other in (minor, father, outsider):
        with pytest.raises(LinkError):
            endings.answer(own, True, guardian=other, now=now)
    assert Guardianship.objects.get(pk=own.pk).state == State.ACTIVE


# --- 18 ------------------------------------------------------------------------------------------------------


def grown(user: User) -> User:
    User.objects.filter(pk=user.pk).update(birth_date=born(18))
    return User.objects.get(pk=user.pk)


def test_rights_end_with_the_birthday_and_not_with_the_task(minor: User, guardian: User) -> None:
    assert access.link_of(guardian, minor.pk, Right.VIEW)
    adult = grown(minor)
    with pytest.raises(access.NotFound):
        access.link_of(guardian, adult.pk, Right.VIEW)
    assert recipients.near(adult) == []
    assert not access.guardians_of(adult).exists()


def test_links_end_at_18_and_both_are_told(minor: User, guardian: User, father: User) -> None:
    joined(minor, guardian, father)
    links.invite(
        minor, replace(details_of(father), email="x@example.org"), actor=minor.pk, now=timezone.now()
    )
    CareNotice.objects.all().delete()
    assert tasks.end_guardianships_of_age() == 0
    grown(minor)
    assert tasks.end_guardianships_of_age() == 1
    assert set(Guardianship.objects.values_list("state", flat=True)) == {State.ENDED}
    assert not GuardianRight.objects.exists()
    assert CareNotice.objects.get().data == {"change": "of_age"}
    assert told() == {f"guardian:{guardian.pk}", f"guardian:{father.pk}"}
    [message] = mail.outbox
    assert message.to == [minor.email]
    assert missing(minor) == "contact"
    assert coming_of_age.end_all(timezone.now()) == 0


def test_who_is_confirmed_to_be_young_keeps_the_guardian_whatever_the_birth_date_says(
    minor: User, guardian: User
) -> None:
    User.objects.filter(pk=minor.pk).update(birth_date=born(25), minors_mode=User.MinorsMode.CONFIRMED)
    assert tasks.end_guardianships_of_age() == 0
    assert access.link_of(guardian, minor.pk, Right.EDIT)


# --- pages ---------------------------------------------------------------------------------------------------


def test_a_guardian_names_another_who_answers_and_the_minor_sees_it(
    minor: User, guardian: User, father: User
) -> None:
    parent = signed_in(guardian)
    page = parent.post(
        reverse("guardian_name", args=[minor.pk]),
        {"name": "Li Ning", "relation": "father", "email": father.email, "role": "alerts"},
        follow=True,
    ).content.decode()
    assert "You named Li Ning" in page
    link = Guardianship.objects.get(state=State.INVITED)
    parent.post(reverse("guardian_other_mail", args=[link.pk]))
    [message] = mail.outbox
    assert message.to == [father.email]
    assert "names you as another guardian" in str(message.body)
    found = re.search(r"/guardians/invitation/[\w-]{40,}/", str(message.body))
    assert found
    other = signed_in(father)
    page = other.get(found.group(), follow=True).content.decode()
    assert "Another guardian of this young person names you" in page
    other.post(
        reverse("invitation"),
        {"adult": "1", "companionship": "1", "sensitive_data": "1", "third_parties": "1"},
    )
    assert Guardianship.objects.get(pk=link.pk).state == State.ACTIVE
    assert told() == {f"guardian:{guardian.pk}"}
    seen = signed_in(minor).get(reverse("care")).content.decode()
    assert "Li Ning" in seen and "Only be told of a danger" in seen


def test_pages_of_roles_are_for_those_who_have_the_right(
    minor: User, guardian: User, own: Guardianship, father: User, outsider: User
) -> None:
    link = joined(minor, guardian, father)
    invited = links.invite(minor, details_of(outsider), actor=guardian.pk, now=timezone.now(), by=guardian)
    acts = {
        "guardian_role": (own, {"role": "view"}),
        "guardian_end": (own, {}),
        "guardian_end_answer": (own, {"answer": "yes"}),
        "guardian_consent": (own, {"withdraw": "1"}),
        "guardian_other_mail": (invited, {}),
        "guardian_other_code": (invited, {}),
    }
    for name, (row, data) in acts.items():
        path = reverse(name, args=[row.pk])
        assert Client().post(path, data).headers["Location"].startswith(reverse("account_login"))
        for user in (outsider, father, minor):
            assert signed_in(user, sure=True).post(path, data).status_code == 404, (name, user.nickname)
        assert signed_in(guardian).get(path).status_code == 405
    ask = reverse("guardian_end_ask", args=[own.pk])
    for user in (outsider, father, guardian):
        assert signed_in(user).post(ask).status_code == 404
    naming = reverse("guardian_name", args=[minor.pk])
    for user in (outsider, father, minor):
        assert signed_in(user).get(naming).status_code == 404
    assert (
        signed_in(guardian).post(reverse("guardian_role", args=[link.pk]), {"role": "owner"}).status_code
        == 400
    )
    assert {row.state for row in links.of(minor)} == {State.ACTIVE, State.INVITED}
    assert not mail.outbox
    assert signed_in(guardian).post(reverse("guardian_end", args=[uuid.uuid4()])).status_code == 404


def test_changing_a_role_tells_the_others(minor: User, guardian: User, father: User, outsider: User) -> None:
    link = joined(minor, guardian, father)
    joined(minor, guardian, outsider)
    parent = signed_in(guardian)
    page = parent.post(reverse("guardian_role", args=[link.pk]), {"role": "alerts"}, follow=True)
    assert "Saved." in page.content.decode()
    assert access.role_of(link) is Role.ALERTS
    assert told() == {f"guardian:{father.pk}", f"guardian:{outsider.pk}"}
    assert Event.objects.filter(user=minor, kind="policy.changed").exists()


def test_a_child_at_an_open_browser_ends_nothing(minor: User, guardian: User, own: Guardianship) -> None:
    path = reverse("guardian_end", args=[own.pk])
    asked = signed_in(guardian).post(path)
    assert asked.status_code == 302 and "/accounts/reauthenticate/" in asked["Location"]
    assert links.in_force(minor)
    signed_in(guardian, sure=True).post(path)
    assert not links.in_force(minor)


def test_the_minor_asks_on_their_page_and_the_guardian_says_no(
    minor: User, guardian: User, own: Guardianship
) -> None:
    child, parent = signed_in(minor), signed_in(guardian)
    page = child.post(reverse("guardian_end_ask", args=[own.pk]), follow=True).content.decode()
    assert "There is no answer yet" in page
    assert told(CareNotice.Kind.UNLINK) == {f"guardian:{guardian.pk}"}
    assert "would like your link to end" in parent.get(reverse("panel", args=[minor.pk])).content.decode()
    parent.post(reverse("guardian_end_answer", args=[own.pk]), {"answer": "no"})
    assert "The answer on" in child.get(reverse("care")).content.decode()
    assert CareNotice.objects.get(kind=CareNotice.Kind.UNLINK).over_at is not None
    assert links.in_force(minor)


def test_the_guardian_says_yes_and_the_minor_reads_that_nobody_is_there(
    minor: User, guardian: User, own: Guardianship
) -> None:
    signed_in(minor).post(reverse("guardian_end_ask", args=[own.pk]))
    signed_in(guardian, sure=True).post(reverse("guardian_end_answer", args=[own.pk]), {"answer": "yes"})
    page = signed_in(minor).get(reverse("care")).content.decode()
    assert "nobody looks after your account" in page
    assert missing(minor) == "guardian"


def test_a_second_one_named_by_the_minor_waits_and_who_manages_is_told(
    minor: User, guardian: User, father: User
) -> None:
    child = signed_in(minor)
    child.post(reverse("care"), {"name": "Li Ning", "relation": "father", "email": father.email})
    assert "You named Li Ning as another guardian" in child.get(reverse("care")).content.decode()
    link = Guardianship.objects.get(state=State.INVITED)
    token = invitations.create(link, Invitation.Method.MAIL, actor=minor.pk, now=timezone.now())
    other = signed_in(father)
    other.get(reverse("invitation_enter", args=[token]))
    other.post(
        reverse("invitation"),
        {"adult": "1", "companionship": "1", "sensitive_data": "1", "third_parties": "1"},
    )
    assert told() == {f"guardian:{guardian.pk}"}
    assert "asked for their yes" in child.get(reverse("care")).content.decode()
    assert other.get(reverse("panel", args=[minor.pk])).status_code == 404
    signed_in(guardian).post(
        reverse("guardian_confirm", args=[link.pk]), {"answer": "yes", "role": "view"}, follow=True
    )
    assert access.role_of(link) is Role.VIEW


def test_an_address_that_is_not_confirmed_does_not_become_a_guardian(
    minor: User, guardian: User, father: User
) -> None:
    link = links.invite(minor, details_of(father), actor=guardian.pk, now=timezone.now(), by=guardian)
    EmailAddress.objects.filter(user=father).update(verified=False)
    with pytest.raises(invitations.InvitationError):
        answered(link, father)


def test_who_is_only_told_of_a_danger_has_no_panel_and_can_still_go(
    minor: User, guardian: User, father: User
) -> None:
    link = joined(minor, guardian, father, Role.ALERTS)
    other = signed_in(father, sure=True)
    assert other.get(reverse("panel", args=[minor.pk])).status_code == 404
    page = other.get(reverse("wards")).content.decode()
    assert reverse("panel", args=[minor.pk]) not in page
    assert reverse("guardian_end", args=[link.pk]) in page
    assert guardian.nickname not in page and guardian.email not in page  # nor who else is there
    other.post(reverse("guardian_end", args=[link.pk]))
    assert Guardianship.objects.get(pk=link.pk).state == State.ENDED


@pytest.mark.django_db(transaction=True)
def test_two_who_step_down_at_once_leave_somebody_who_manages(
    minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    other = joined(minor, guardian, father, Role.MANAGE)
    ready, outcomes = threading.Barrier(2), []

    def step_down(link: Guardianship, by: User) -> None:
        try:
            ready.wait()
            outcomes.append(str(roles.change(link, Role.VIEW, by=by)))
        except LinkError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=step_down, args=each) for each in ((own, guardian), (other, father))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["True", "last"]
    assert access.in_force(minor, Right.EDIT).count() == 1


def test_a_reply_goes_on_while_another_who_manages_has_agreed(
    companions: None, minor: User, guardian: User, own: Guardianship, father: User
) -> None:
    joined(minor, guardian, father, Role.MANAGE)
    talk = open_conversation(minor, sign_in(minor), "botanist")
    reply = Message.objects.create(conversation=talk, author=Message.Author.AI, state=Message.State.STREAMING)
    path = reverse("guardian_consent", args=[own.pk])
    page = signed_in(guardian).post(path, {"withdraw": "1"}, follow=True).content.decode()
    assert "They can still talk" in page
    assert not Message.objects.get(pk=reply.pk).stop_requested
    theirs = Guardianship.objects.get(guardian=father)
    signed_in(father).post(reverse("guardian_consent", args=[theirs.pk]), {"withdraw": "1"})
    assert Message.objects.get(pk=reply.pk).stop_requested
    assert missing(minor) == "guardian_consent"
