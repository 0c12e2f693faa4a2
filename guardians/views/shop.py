"""The shop: one plain page on which somebody pays for extra replies, and turns its use on or off.

Reached from the settings and from nowhere in a conversation. No offers: amounts from small to large, none chosen.
"""

import logging
import uuid
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from payments import PaymentStatus, RedirectNeeded

from accounts.models import User
from companion import purchases
from guardians import refunds, spending
from guardians.models import Payment, Refund, Wallet, WalletEntry

log = logging.getLogger(__name__)

_CLOSED = gettext_lazy("The shop is closed at the moment. What you have stays yours.")
WHY: dict[str, Promise] = {
    "off": _CLOSED,
    "rest": _CLOSED,  # the same words: nobody is told here how they are taken to be
    "staff": gettext_lazy("Accounts of the team buy nothing here."),
    "birth_date": gettext_lazy("Please tell us your birth date first."),
    "young": gettext_lazy("Nothing can be bought with this account."),
    "minor": gettext_lazy("Nothing can be bought with this account. A guardian decides about that."),
    "suspended": gettext_lazy(
        "Nothing can be bought while a measure holds for your account. Receipts and refunds stay."
    ),
    "cap": gettext_lazy("This would be more than may be paid this month. Nothing was taken."),
    "amount": gettext_lazy("Choose one of the amounts."),
    "provider": gettext_lazy("Choose one of the ways to pay."),
    "often": gettext_lazy("That were many payments in a short time. Please try again in an hour."),
}


class CapForm(forms.Form):
    """Whole units of the currency; empty for no cap of one's own."""

    cap = forms.IntegerField(
        label=gettext_lazy("At most this much in a month"),
        required=False,
        min_value=0,
        max_value=1_000_000,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )


@never_cache
@login_required
@require_safe
def shop(request: HttpRequest) -> HttpResponse:
    return _shop(request)


@login_required
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Agree on an amount; the next page pays."""
    user = _user(request)
    variants = list(settings.PAYMENT_VARIANTS)
    chosen = request.POST.get("amount", "")
    variant = request.POST.get("provider") or (variants[0] if len(variants) == 1 else "")
    try:
        payment = purchases.begin(
            user,
            int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 10 else -1,
            variant,
            _("Extra replies at Anban"),
            timezone.now(),
        )
    except spending.Refused as refused:
        return _shop(request, refused.code)
    return redirect("shop_pay", payment.pk)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def pay(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The provider's form, or the link to its page. Whether the shop is open is asked again with each step."""
    user = _user(request)
    payment = get_object_or_404(Payment, pk=pk, user=user)
    if payment.status not in (PaymentStatus.WAITING, PaymentStatus.INPUT):
        return redirect("shop_done", payment.pk)
    if code := purchases.closed(user, timezone.now()):
        return _shop(request, code)
    page: dict[str, Any] = {"payment": payment}
    try:
        page["form"] = form = payment.get_form(data=request.POST or None)
    except RedirectNeeded as onward:
        target = str(onward)
        purchases.settle(payment.pk)
        if _ours(target):
            return redirect(target)
        # A link and not a redirect: the content policy lets forms lead to our own pages only.
        page |= {"onward": target, "host": urlsplit(target).hostname}
        return render(request, "shop/pay.html", page)
    except Exception as error:  # whatever a provider's client raises; the next page says what is known
        log.error("payment %s: %s", payment.pk, type(error).__name__)
        return redirect("shop_done", payment.pk)
    action = urlsplit(getattr(form, "action", "") or "")
    page["foreign"] = action.scheme == "https" and not _ours(action.geturl())
    response = render(request, "shop/pay.html", page)
    if page["foreign"]:
        response._csp_update = {"form-action": [f"https://{action.netloc}"]}  # type: ignore[attr-defined]
    return response


@never_cache
@login_required
@require_safe
def done(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """How a payment ended, as far as it is known. A provider's page leads here, perhaps before its report."""
    payment = get_object_or_404(Payment, pk=pk, user=_user(request))
    purchases.settle(payment.pk)
    payment.refresh_from_db()
    return render(request, "shop/done.html", {"payment": payment, "ended": _ended(payment)})


@login_required
@require_POST
def use(request: HttpRequest) -> HttpResponse:
    """Whether replies may be paid from the wallet. Turned on here and nowhere else."""
    spending.choose(_user(request), in_use=request.POST.get("use") == "on", now=timezone.now())
    messages.success(request, _("Saved. It holds from now on."))
    return redirect("shop")


@login_required
@require_POST
def set_cap(request: HttpRequest) -> HttpResponse:
    form = CapForm(request.POST)
    if not form.is_valid():
        return _shop(request, "", form, HTTPStatus.UNPROCESSABLE_ENTITY)
    units = form.cleaned_data["cap"]
    later = spending.set_own_cap(_user(request), None if units is None else units * 100, timezone.now())
    if later is None:
        messages.success(request, _("Saved. It holds from now on."))
    else:
        messages.success(request, _("Saved. A wider limit holds from the next month on."))
    return redirect("shop")


@never_cache
@login_required
@require_safe
def receipts(request: HttpRequest) -> HttpResponse:
    """What was paid, what it became, and the way to ask for it back. Open to everybody, also when nothing is sold."""
    user = _user(request)
    return render(
        request,
        "shop/receipts.html",
        {
            "receipts": receipts_of(user),
            "reasons": [(reason.value, reason.label) for reason in refunds.REASONS],
            "days": settings.REFUND_DAYS,
            "wallet": Wallet.objects.filter(pk=user.pk).first(),
            "used": WalletEntry.objects.filter(wallet=user.pk, kind=WalletEntry.Kind.USE).order_by("-pk")[
                :100
            ],
        },
    )


@login_required
@require_POST
def ask_refund(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    user = _user(request)
    payment = get_object_or_404(Payment, pk=pk, user=user)
    try:
        refund = refunds.ask(payment, request.POST.get("reason", ""), user, timezone.now())
    except refunds.Refused:
        messages.warning(request, _("That did not work. Please look at the state of this payment."))
    else:
        messages.success(request, asked(refund))
    return redirect("shop_receipts")


def asked(refund: Refund) -> str:
    when = date_format(timezone.localtime(refund.due_at), "DATE_FORMAT")
    return _("We have it. A person looks at it and answers until %(when)s.") % {"when": when}


def receipts_of(user: User) -> list[dict[str, Any]]:
    """Payments that were made, the newest first, with what came of them."""
    rows = Payment.objects.filter(user=user).exclude(status__in=[PaymentStatus.WAITING, PaymentStatus.INPUT])
    return [
        {
            "payment": payment,
            "ended": (ended := _ended(payment)),
            "credited": ended == "credited",
            "refund": max(payment.refunds.all(), key=lambda refund: refund.asked_at, default=None),
            "refundable": ended == "credited"
            and all(refund.state == Refund.State.REFUSED for refund in payment.refunds.all()),
        }
        for payment in rows.prefetch_related("entries", "refunds").order_by("-created")
    ]


def _shop(
    request: HttpRequest, code: str = "", form: CapForm | None = None, status: int | None = None
) -> HttpResponse:
    """The page; with `code`: why something was refused just now."""
    user, now = _user(request), timezone.now()
    closed = purchases.closed(user, now)
    own, coming = spending.own_cap(user, now), spending.coming_cap(user, now)
    shown = coming.cents if coming else own
    month = spending.month_of(user, now)
    context = {
        "closed": WHY[closed] if closed else "",
        "refused": WHY[code] if code and code != closed else "",
        "wallet": Wallet.objects.filter(pk=user.pk).first(),
        "month": month,
        "amounts": [(cents, cents <= month.left) for cents in sorted(settings.WALLET_TOP_UPS)],
        "providers": list(settings.PAYMENT_VARIANTS) if len(settings.PAYMENT_VARIANTS) > 1 else [],
        "price": settings.WALLET_PRICE_PER_1000_TOKENS,
        "free": settings.TOKENS_PER_USER_PER_DAY,
        "longest": settings.LLM_CONTEXT_TOKENS,
        "coming": coming,
        "form": form or CapForm(initial={"cap": None if shown is None else shown // 100}),
        "days": settings.REFUND_DAYS,
    }
    if status is None:
        status = HTTPStatus.FORBIDDEN if code else HTTPStatus.OK
    return render(request, "shop/shop.html", context, status=status)


def _ended(payment: Payment) -> str:
    """Of the page after paying: credited, returned, held, failed or open."""
    kinds = {entry.kind for entry in payment.entries.all()}
    reasons = {refund.reason for refund in payment.refunds.all()}
    if WalletEntry.Kind.TOP_UP in kinds:
        return "credited"
    if Refund.Reason.CLOSED in reasons:
        return "returned"
    if Refund.Reason.MISMATCH in reasons:
        return "held"
    failed = (PaymentStatus.REJECTED, PaymentStatus.ERROR, PaymentStatus.CANCELLED, PaymentStatus.REFUNDED)
    return "failed" if payment.status in failed else "open"


def _ours(url: str) -> bool:
    target = urlsplit(url)
    return not target.netloc or f"{target.scheme}://{target.netloc}".lower() == settings.SITE_URL


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
