"""The guardians of one minor among each other: who they are, what each may do, another one named, a link ended.

`context` is for the part of the panel that guardians/_guardians.html shows. Whatever is done here the other guardians are
told; the minor's pages learn it by the changed policy.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keyring
from accounts.models import User
from companion import turns
from guardians import access, consents, endings, links, roles
from guardians.access import Right, Role
from guardians.forms import NameForm
from guardians.links import LinkError
from guardians.models import Consent, Guardianship
from safety import care_notices
from safety.models import CareNotice

_REFUSED: Final[dict[str, Promise]] = {
    "waits": gettext_lazy("Somebody has answered and waits for a yes or no. Please answer that first."),
    "enough": gettext_lazy("There are as many guardians as there can be."),
    "not_yours": gettext_lazy("This has changed meanwhile. Nothing was done."),
    "equal": gettext_lazy("They may do everything, as you may. Only they themselves can change that."),
    "last": gettext_lazy("Somebody has to be able to do everything. Let another guardian do so first."),
    "asked": gettext_lazy("You have asked already."),
    "not_yet": gettext_lazy("They said no less than a week ago. A person of our team can look at it now."),
}


@dataclass(frozen=True)
class Other:
    """Another guardian of the same minor, as a guardian sees them: what they are called, never how to reach them."""

    link: uuid.UUID
    name: str
    role: str
    role_label: str
    may_change: bool
    may_end: bool


@dataclass(frozen=True)
class Family:
    """What guardians/_guardians.html shows to one guardian."""

    link: uuid.UUID
    minor: User
    role: str
    role_label: str
    manages: bool
    may_step_down: bool
    asked: bool  # the minor would like the link to end
    others: Sequence[Other]
    waiting: Sequence[Guardianship]  # who answered and waits for a yes
    invited: Sequence[tuple[Guardianship, str]]  # whom this guardian named, with the name they gave
    consents: Sequence[Consent]
    consent_in_force: bool
    room: bool  # for one more
    roles: Sequence[tuple[str, Any]]


def context(link: Guardianship) -> dict[str, Family]:
    """For the guardian of this link, which is in force."""
    guardian = link.guardian
    assert guardian is not None
    role = access.role_of(link) or Role.ALERTS
    manages = role is Role.MANAGE
    rows = [row for row in links.of(link.minor) if row.pk != link.pk]
    active = [row for row in rows if row.state == Guardianship.State.ACTIVE]
    others = [_other(row, manages) for row in active] if role is not Role.ALERTS else []
    history = list(link.consents.order_by("-pk"))
    waiting = [row for row in rows if row.state == Guardianship.State.ACCEPTED] if manages else []
    family = Family(
        link=link.pk,
        minor=link.minor,
        role=role.value,
        role_label=str(role.label),
        manages=manages,
        may_step_down=manages and any(other.role == Role.MANAGE for other in others),
        asked=endings.asked(link),
        others=others,
        waiting=waiting,
        invited=[(row, _given_name(row)) for row in links.named(link.minor, guardian)],
        consents=history,
        consent_in_force=any(row.withdrawn_at is None for row in history),
        room=manages and not waiting and len(active) + 1 < links.MOST,
        roles=Role.choices,
    )
    return {"family": family}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def name(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    """A guardian who manages names another one; the invitation is sent or shown on the next page."""
    user, now = _user(request), timezone.now()
    link = _link(user, minor_id, Right.EDIT)
    form = NameForm(request.POST or None, minor=link.minor)
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        try:
            links.invite(link.minor, form.details, actor=user.pk, now=now, by=user, role=role)
        except LinkError as error:
            messages.warning(request, str(_REFUSED[error.code]))
        else:
            messages.success(request, _("Now send them the invitation, or show them the code."))
        return redirect(back(link))
    return render(request, "guardians/name.html", {"form": form, "minor": link.minor, "back": back(link)})


@login_required
@require_POST
def change(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Another role for a guardian, or fewer rights for oneself."""
    user = _user(request)
    own, link = _beside(user, pk)
    try:
        role = Role(request.POST.get("role", ""))
    except ValueError:
        return HttpResponse(status=HTTPStatus.BAD_REQUEST)

    def act() -> None:
        if roles.change(link, role, by=user):
            tell(link, "role", by=user, also=[link])

    return _act(request, own, act, _("Saved."))


@login_required
@require_POST
def end(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """A guardian ends their own link, or takes out somebody who does not manage, or takes an invitation back."""
    user, now = _user(request), timezone.now()
    own, link = _beside(user, pk)
    in_force = link.state == Guardianship.State.ACTIVE

    def act() -> None:
        close_unless_others_consent(link)
        endings.end(link, by=user, now=now)
        if in_force:
            tell(link, "ended", by=user, also=[link])

    return _act(request, own, act, _("It has ended."), sure=in_force)


@login_required
@require_POST
def ask_to_end(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The minor asks; the guardian is told and answers on their page."""
    user, now = _user(request), timezone.now()
    link = get_object_or_404(Guardianship, pk=pk, minor=user, state=Guardianship.State.ACTIVE)
    try:
        with transaction.atomic(durable=True):
            endings.ask(link, minor=user, now=now)
            whom = [f"guardian:{link.guardian_id}"]
            care_notices.tell(CareNotice.Kind.UNLINK, user, _asked_about(link), whom, now)
    except LinkError as error:
        messages.warning(request, str(_REFUSED[error.code]))
    else:
        messages.success(request, _("They are asked. You can see their answer here."))
    return redirect("care")


@login_required
@require_POST
def answer_end(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The guardian's yes or no to a minor who would like the link to end."""
    user, now = _user(request), timezone.now()
    link = get_object_or_404(Guardianship, pk=pk, guardian=user, state=Guardianship.State.ACTIVE)
    yes = request.POST.get("answer") == "yes"

    def act() -> None:
        if yes:
            close_unless_others_consent(link)
        endings.answer(link, yes, guardian=user, now=now)
        care_notices.over(_asked_about(link), now)
        if yes:
            tell(link, "ended", by=user)

    done = (
        _("It has ended.") if yes else _("They can see that you said no, and may ask a person of our team.")
    )
    return _act(request, link, act, done, sure=yes)


def tell(link: Guardianship, change: str, *, by: User, also: Sequence[Guardianship] = ()) -> None:
    """The other guardians, and those whose link it is about. In the caller's transaction."""
    minor = link.minor
    whom = care_notices.guardian_recipients(minor)
    whom += [f"guardian:{row.guardian_id}" for row in also if row.guardian_id]
    whom = [one for one in dict.fromkeys(whom) if one != f"guardian:{by.pk}"]
    if whom:
        about = f"guardianship:{link.pk}"
        care_notices.tell(CareNotice.Kind.GUARDIANS, minor, about, whom, timezone.now(), change=change)


def close_unless_others_consent(link: Guardianship) -> None:
    """In the caller's transaction and before the link changes: a reply on its way ends as well. Messages, then people."""
    if link.state == Guardianship.State.ACTIVE and not consents.in_force(link.minor, without=link):
        turns.stop_all(link.minor_id)


def back(link: Guardianship) -> str:
    """The page that shows the guardians to this one: the panel for who may see it."""
    panel = panel_of(link)
    return f"{panel}#guardians" if panel else reverse("wards")


def panel_of(link: Guardianship) -> str:
    """The address of the panel; "" for a guardian who may not see it."""
    guardian = link.guardian
    if guardian is None or not access.links_with(guardian, Right.VIEW).filter(pk=link.pk).exists():
        return ""
    return reverse("panel", args=[link.minor_id])


def _act(
    request: HttpRequest, own: Guardianship, act: Callable[[], None], done: str, *, sure: bool = False
) -> HttpResponse:
    """Do it and say so. `sure`: a child with the guardian's open browser must not do it for them."""
    if sure and not did_recently_reauthenticate(request):
        messages.info(request, _("Please confirm that it is you, then choose it once more."))
        return redirect(f"{reverse('account_reauthenticate')}?next={back(own).partition('#')[0]}")
    try:
        with transaction.atomic(durable=True):
            act()
    except LinkError as error:
        messages.warning(request, str(_REFUSED[error.code]))
    else:
        messages.success(request, done)
    return redirect(back(own))


def _beside(user: User, pk: uuid.UUID) -> tuple[Guardianship, Guardianship]:
    """One's own link to the minor, and the one that is to be changed, which may be the same."""
    rows = Guardianship.objects.exclude(state=Guardianship.State.ENDED).select_related("minor", "guardian")
    link = get_object_or_404(rows, pk=pk)
    if link.guardian_id == user.pk:
        return link, link
    return _link(user, link.minor_id, Right.EDIT), link


def _link(user: User, minor_id: uuid.UUID, right: Right) -> Guardianship:
    try:
        return access.link_of(user, minor_id, right)
    except access.NotFound:
        raise Http404 from None


def _other(row: Guardianship, manages: bool) -> Other:
    role = access.role_of(row) or Role.ALERTS
    below = manages and role is not Role.MANAGE
    name = row.guardian.nickname if row.guardian else ""
    return Other(row.pk, name, role.value, str(role.label), may_change=below, may_end=below)


def _given_name(row: Guardianship) -> str:
    try:
        return links.open_details(row).name
    except keyring.KeyringError:
        return ""


def _asked_about(link: Guardianship) -> str:
    return f"unlink:{link.pk}"


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
