"""The roster and the records of the crisis path in the admin. Codes only; shifts are all that can be changed."""

import datetime as dt
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from safety import cases, clock, readings
from safety.models import CrisisCase, OperationsAlert, Shift, StaffSession
from tests.cast import make_user, with_contact
from tests.safety.test_cases import signal
from tests.safety.test_console import log_in, words_of

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = ("crisiscase", "delivery", "operationsalert", "staffsession", "shift")
FOR_MODERATORS = ("crisiscase", "shift")


def where(name: str, rest: str = "") -> str:
    return f"/admin/safety/{name}/{rest}"


def closed(user: User, staff: User) -> CrisisCase:
    case = signal(user, 4)
    return cases.close(
        case.pk, staff, clock.now(), reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE
    )


def test_each_list_is_for_its_roles_only(
    adult: User, outsider: User, moderator: User, supervisor: User
) -> None:
    plain = with_contact(make_user("plain", 40, is_staff=True))
    for name in LISTS:
        assert Client().get(where(name)).status_code == 302
        assert log_in(outsider).get(where(name), follow=True).status_code == 403
        assert log_in(plain).get(where(name)).status_code == 403
        assert log_in(moderator).get(where(name)).status_code == (200 if name in FOR_MODERATORS else 403)
        assert log_in(supervisor).get(where(name)).status_code == 200


def test_records_are_not_made_changed_or_deleted(adult: User, moderator: User, supervisor: User) -> None:
    case = closed(adult, moderator)
    OperationsAlert.objects.create(code="rung.empty", subject="2")
    client = log_in(supervisor)
    for name in LISTS[:4]:
        assert client.get(where(name, "add/")).status_code == 403
    assert client.post(where("crisiscase", f"{case.pk}/change/"), {"level": 2}).status_code == 403
    assert client.post(where("crisiscase", f"{case.pk}/delete/"), {"post": "yes"}).status_code == 403
    page = words_of(client.get(where("crisiscase", f"{case.pk}/change/")))
    assert str(adult.pk) in page and adult.email not in page


def test_the_history_holds_closed_cases_and_never_ones_own(
    adult: User, outsider: User, moderator: User, supervisor: User
) -> None:
    own, theirs, running = closed(moderator, supervisor), closed(adult, moderator), signal(outsider, 4)
    client = log_in(moderator)
    assert client.get(where("crisiscase", f"{theirs.pk}/change/")).status_code == 200
    for hidden in (own, running):
        assert client.get(where("crisiscase", f"{hidden.pk}/change/")).status_code == 302


def test_operators_make_the_roster(moderator: User, supervisor: User, adult: User) -> None:
    form = {"user": moderator.pk, "role": "moderator", "starts_at_0": "2026-11-22", "starts_at_1": "08:00"}
    ending = {"ends_at_0": "2026-11-22", "ends_at_1": "16:00"}
    assert log_in(moderator).post(where("shift", "add/"), {**form, **ending}).status_code == 403
    operator = log_in(supervisor)
    wrong = operator.post(where("shift", "add/"), {**form, "ends_at_0": "2026-11-22", "ends_at_1": "07:00"})
    assert "ends after it begins" in words_of(wrong)
    assert operator.post(where("shift", "add/"), {**form, **ending, "user": adult.pk}).status_code == 200
    assert not Shift.objects.exists()
    operator.post(where("shift", "add/"), {**form, **ending})
    shift = Shift.objects.get()
    assert shift.user == moderator and shift.ends_at - shift.starts_at == dt.timedelta(hours=8)
    operator.post(where("shift", f"{shift.pk}/delete/"), {"post": "yes"})
    assert not Shift.objects.exists()


def test_a_second_person_approves_and_an_operator_reviews(
    adult: User, moderator: User, supervisor: User
) -> None:
    signal(adult, 2)
    reason = "They asked us to look, because a message was lost."
    asked = readings.break_glass(moderator, adult, uuid.uuid4(), reason, timezone.now())
    client = log_in(supervisor)
    assert reason in words_of(client.get(where("staffsession", f"{asked.pk}/change/")))
    for action in ("approve", "review"):
        client.post(where("staffsession"), {"action": action, "_selected_action": [str(asked.pk)]})
    row = StaffSession.objects.get()
    assert row.approved_by == supervisor and row.reviewed_by == supervisor


def test_the_front_page_leads_to_the_desk(moderator: User, supervisor: User) -> None:
    for staff in (moderator, supervisor):
        assert "/admin/crisis/" in log_in(staff).get("/admin/").content.decode()
