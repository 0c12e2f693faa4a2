"""A guardian's part of spending: open a minor's budget, close it, see what was bought, ask for it back."""

import uuid
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.models import User
from guardians import access, refunds, spending
from guardians.access import Right
from guardians.limits import effective_band
from guardians.models import Guardianship, Payment, Wallet
from guardians.views import shop


class BudgetForm(forms.Form):
    """Whole units of the currency."""

    cap = forms.IntegerField(min_value=0, max_value=1_000_000)


def context(link: Guardianship) -> dict[str, Any]:
    """For templates/guardians/_spending.html: the month, what holds, dates and amounts. Never what it was used for."""
    minor, now, role = link.minor, timezone.now(), access.role_of(link)
    band = effective_band(minor, now)
    wallet = Wallet.objects.filter(pk=minor.pk).first()
    return {
        "spending": {
            "minor": minor,
            "editable": role is not None and Right.EDIT in access.RIGHTS[role],
            "month": spending.month_of(minor, now),
            "open": bool(spending.guardian_cap(minor)),
            "cap": (spending.guardian_cap(minor) or 0) // 100,
            "most": settings.WALLET_MONTHLY_CAPS[band.value] if band else 0,
            "too_young": spending.too_young(minor, now),
            "offered": bool(settings.PAYMENT_VARIANTS),
            "balance": wallet.balance if wallet else 0,
            "in_use": bool(wallet and wallet.in_use),
            "receipts": shop.receipts_of(minor),
            "reasons": [(reason.value, reason.label) for reason in refunds.REASONS],
            "days": settings.REFUND_DAYS,
        }
    }


@login_required
@require_POST
def budget(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    """Set the month's budget; "off" closes it. Both hold at once."""
    guardian, now = _user(request), timezone.now()
    link = _link(guardian, minor_id)
    form = BudgetForm({"cap": 0} if "off" in request.POST else request.POST)
    if not form.is_valid():
        messages.warning(request, _("Please write an amount in whole numbers."))
        return _back(minor_id)
    try:
        cents = spending.set_guardian_cap(link, guardian, form.cleaned_data["cap"] * 100, now)
    except spending.Refused:
        messages.warning(request, _("Nothing can be bought for somebody under 8."))
        return _back(minor_id)
    if not cents:
        messages.success(request, _("Saved. Nothing can be bought from now on."))
    elif cents < form.cleaned_data["cap"] * 100:
        messages.success(
            request, _("Saved, with the most that is possible at this age. You are told of each purchase.")
        )
    else:
        messages.success(request, _("Saved. You are told of each purchase at once."))
    return _back(minor_id)


@login_required
@require_POST
def ask_refund(request: HttpRequest, minor_id: uuid.UUID, pk: uuid.UUID) -> HttpResponse:
    guardian = _user(request)
    link = _link(guardian, minor_id)
    payment = get_object_or_404(Payment, pk=pk, user=link.minor)
    try:
        refund = refunds.ask(payment, request.POST.get("reason", ""), guardian, timezone.now())
    except refunds.Refused:
        messages.warning(request, _("That did not work. Please look at the state of this payment."))
    else:
        messages.success(request, shop.asked(refund))
    return _back(minor_id)


def _link(guardian: User, minor_id: uuid.UUID) -> Guardianship:
    try:
        return access.link_of(guardian, minor_id, Right.EDIT)
    except access.NotFound as error:
        raise Http404 from error


def _back(minor_id: uuid.UUID) -> HttpResponse:
    return redirect(f"{reverse('panel', args=[minor_id])}#spending")


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
