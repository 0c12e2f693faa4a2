"""Pages on which a minor, or a guardian who manages, invites a guardian; and a guardian answers, consents and withdraws."""

import io
import logging
import smtplib
import uuid
from http import HTTPStatus
from typing import Any, cast

import qrcode
import qrcode.image.svg
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.mail import send_mail
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import devices
from accounts.models import User
from guardians import access, consents, invitations, limits, links
from guardians.access import Right
from guardians.consents import Boxes
from guardians.invitations import InvitationError
from guardians.models import Guardianship, Invitation
from guardians.views import roles
from safety.alert_texts import name_of

log = logging.getLogger(__name__)

_TOKEN = "guardian_invitation"  # in the session: the address bar and logs of later pages do not hold it
_WHY: dict[str, Promise] = {
    "unknown": gettext_lazy("This invitation does not exist. Please check the link, or ask for a new one."),
    "over": gettext_lazy("This invitation was used already or is too old. Please ask for a new one."),
    "own": gettext_lazy(
        "Nobody can be their own guardian. A parent or guardian answers with their own account."
    ),
    "incomplete": gettext_lazy("Please complete your account first, then open the invitation again."),
    "minor": gettext_lazy("A guardian is an adult."),
    "unverified": gettext_lazy(
        "Please confirm your e-mail address first: open the link in the message we sent you. Then come back here."
    ),
    "other_address": gettext_lazy(
        "This invitation was sent to another address. Sign in with the account of that address, or ask to be invited "
        "at this one."
    ),
    "same_browser": gettext_lazy(
        "The account that invites you is used in this browser, too. Please answer on a device of your own. If you have "
        "none, write to us: a person looks at it."
    ),
    "already": gettext_lazy("You have answered already."),
    "too_many": gettext_lazy(
        "That were many invitations today. Please try again tomorrow, or show the code."
    ),
    "no_address": gettext_lazy("There is no e-mail address to send this to. Please show the code instead."),
    "answered": gettext_lazy("Your guardian has answered already."),
}


@login_required
@require_POST
def invite_by_mail(request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponse:
    """Send the link to the address that was given. A failed mail server leaves the code."""
    link, back = _open_invitation(request, pk)
    token = _token(request, link, Invitation.Method.MAIL)
    if token is None:
        return redirect(back)
    address = links.open_details(link).email
    # A name is the one thing in the mail that somebody typed: only one that is a name.
    context = {
        "minor": name_of(link.minor),
        "link": _address(token),
        "hours": 48,
        "by_guardian": bool(link.role_offered),
    }
    try:
        send_mail(
            _("Anban: somebody names you as their guardian"),
            render_to_string("guardians/invitation.txt", context),
            None,
            [address],
        )
    except (smtplib.SMTPException, OSError) as error:
        log.error("invitation not sent: %s", type(error).__name__)
        messages.warning(request, _("We could not send the e-mail just now. Please show the code instead."))
    else:
        messages.success(request, _("The invitation is on its way. The link in it works for 48 hours."))
    return redirect(back)


@never_cache
@login_required
@require_POST
def invite_by_code(request: HttpRequest, pk: uuid.UUID | None = None) -> HttpResponse:
    """A code to scan. Shown once, because only its hash is kept: asking again makes a new one."""
    link, back = _open_invitation(request, pk)
    token = _token(request, link, Invitation.Method.CODE)
    if token is None:
        return redirect(back)
    address = _address(token)
    page = {"address": address, "picture": _picture(address), "back": back, "by_guardian": pk is not None}
    return render(request, "guardians/code.html", page)


@never_cache
@require_safe
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """The link of the invitation: it changes nothing but what this browser is about to answer."""
    request.session[_TOKEN] = token
    return redirect("invitation")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest) -> HttpResponse:
    """What a guardian agrees to, and the button. Who is not signed in is told how to go on."""
    now = timezone.now()
    token = request.session.get(_TOKEN, "")
    try:
        invitation = invitations.find(token, now)
        page = {
            "minor": invitation.link.minor,
            "version": consents.VERSION,
            "by_guardian": bool(invitation.link.role_offered),
        }
        if not request.user.is_authenticated:
            return render(request, "guardians/invitation.html", page | {"next": reverse("invitation")})
        user = _user(request)
        same = devices.known(request, invitation.link.minor.email) is not None
        invitations.check(invitation, user, minors_browser=same, now=now)
        if request.method == "POST":
            boxes = _boxes(request)
            if boxes.complete and "adult" in request.POST:
                with transaction.atomic(durable=True):
                    link = invitations.accept(token, user, boxes, minors_browser=same, now=now)
                    waits = link.state == Guardianship.State.ACCEPTED
                    roles.tell(link, "waits" if waits else "joined", by=user)
                del request.session[_TOKEN]
                messages.success(request, _thanks(link))
                return redirect("wards")
            page["unticked"] = True
        return render(request, "guardians/invitation.html", page | {"may_answer": True})
    except InvitationError as error:
        gone = error.code in ("unknown", "over")
        return render(
            request,
            "guardians/invitation.html",
            {"why": _WHY[error.code], "code": error.code, "over": gone},
            status=HTTPStatus.GONE if gone else HTTPStatus.FORBIDDEN,
        )


@login_required
@require_POST
def confirm(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The other side says yes or no to somebody who answered."""
    user = _user(request)
    link = get_object_or_404(Guardianship, pk=pk)
    back = "care" if link.minor_id == user.pk else "wards"
    try:
        with transaction.atomic(durable=True):
            if request.POST.get("answer") == "yes":
                invitations.confirm(link, by=user, role=_role(request))
                roles.tell(link, "joined", by=user, also=[link])
                messages.success(request, _("Confirmed."))
            else:
                invitations.refuse(link, by=user, now=timezone.now())
                messages.success(request, _("Refused. Nothing was shared with them."))
    except links.LinkError:
        if not _concerns(link, user):
            return HttpResponse(status=HTTPStatus.NOT_FOUND)
        messages.warning(request, _("This has been answered already."))
    return redirect(back)


@never_cache
@login_required
@require_safe
def wards(request: HttpRequest) -> HttpResponse:
    """The minors somebody looks after, with what guardians settle among themselves; the panel has the rest."""
    user = _user(request)
    own = Guardianship.objects.filter(guardian=user).exclude(state=Guardianship.State.ENDED)
    rows = [
        {"link": link, "panel": roles.panel_of(link), **roles.context(link)}
        if link.state == Guardianship.State.ACTIVE
        else {"link": link}
        for link in own.select_related("minor", "guardian").order_by("created_at")
        if not limits.of_age(link.minor, timezone.now())
    ]
    return render(request, "guardians/wards.html", {"rows": rows})


@login_required
@require_POST
def consent(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Withdraw, or give again with all boxes ticked anew."""
    user, now = _user(request), timezone.now()
    link = get_object_or_404(access.links_with(user, Right.EDIT).select_related("minor", "guardian"), pk=pk)
    back = roles.back(link)
    if "withdraw" in request.POST:
        with transaction.atomic(durable=True):
            roles.close_unless_others_consent(link)
            if consents.withdraw(link, user, now):
                roles.tell(link, "consent", by=user)
        still = consents.in_force(link.minor)
        messages.success(
            request,
            _("Withdrawn. They can still talk: another guardian has agreed.")
            if still
            else _("Withdrawn. No companion answers from this moment on."),
        )
        return redirect(back)
    boxes = _boxes(request)
    if not boxes.complete:
        messages.warning(request, _("Nothing was changed: all three boxes are needed."))
        return redirect(back)
    with transaction.atomic(durable=True):
        given = consents.give_again(link, user, boxes, now)
        if given:
            roles.tell(link, "consent", by=user)
    if given:
        messages.success(request, _("Thank you. Talking is possible again."))
    return redirect(back)


def _token(request: HttpRequest, link: Guardianship, method: str) -> str | None:
    """Of a new invitation; None once the page says why there is none."""
    try:
        return invitations.create(link, method, actor=_user(request).pk, now=timezone.now())
    except InvitationError as error:
        messages.warning(request, str(_WHY[error.code]))
        return None


def _open_invitation(request: HttpRequest, pk: uuid.UUID | None) -> tuple[Guardianship, str]:
    """Whom this person has named, and the page to go back to: the minor, or with `pk` a guardian who manages."""
    user = _user(request)
    if pk is None:
        return get_object_or_404(links.named(user, None)), reverse("care")
    invited = Guardianship.objects.filter(state=Guardianship.State.INVITED, named_by=user)
    link = get_object_or_404(invited.select_related("minor"), pk=pk)
    try:
        return link, roles.back(access.link_of(user, link.minor_id, Right.EDIT))
    except access.NotFound:
        raise Http404 from None


def _role(request: HttpRequest) -> access.Role:
    """The least that can be asked for when nothing is chosen."""
    try:
        return access.Role(request.POST.get("role", access.Role.VIEW))
    except ValueError:
        return access.Role.VIEW


def _boxes(request: HttpRequest) -> Boxes:
    return Boxes(*(name in request.POST for name in ("companionship", "sensitive_data", "third_parties")))


def _concerns(link: Guardianship, user: User) -> bool:
    return user.pk in (link.minor_id, link.guardian_id) or links.manages(user, link.minor)


def _thanks(link: Guardianship) -> str:
    if link.state == Guardianship.State.ACTIVE:
        return _("Thank you. You are their guardian here now.")
    if links.in_force(link.minor):
        return _("Thank you. The guardian who is there already is asked for their yes.")
    return _("Thank you. They confirm on their own screen that it was you who answered.")


def _address(token: str) -> str:
    return f"{settings.SITE_URL}{reverse('invitation_enter', args=[token])}"


def _picture(address: str) -> Any:
    """The QR code as SVG without any style of its own, so that the strict content policy lets it be."""
    code = qrcode.QRCode(border=2, image_factory=qrcode.image.svg.SvgPathImage)
    code.add_data(address)
    file = io.BytesIO()
    code.make_image().save(file)
    return mark_safe(file.getvalue().decode().partition("?>")[2])


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
