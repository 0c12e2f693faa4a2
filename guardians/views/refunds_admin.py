"""Staff pages of money: refunds to decide, the oldest promise first, and what was paid. For operators alone."""

import uuid
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from accounts.switches import may_change
from guardians import refunds
from guardians.models import Payment, Refund, WalletEntry
from guardians.templatetags.money import money

_REFUSED: dict[str, Any] = {
    "not_operator": _("Only an operator may do this."),
    "gone": _("Somebody has decided meanwhile. Nothing was done."),
    "nothing": _("Nothing of it is left in the wallet."),
}


class _MoneyAdmin(ReadOnlyAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and may_change(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)


@admin.register(Payment)
class PaymentAdmin(_MoneyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Id"),
        "user": _("Person"),
        "variant": _("Payment provider"),
        "status": _("State"),
        "fraud_status": _("Suspicion of fraud"),
        "transaction_id": _("Number at the provider"),
        "created": _("When"),
    }
    list_display = ("id", "user", "price", "variant", "status", "fraud_status", "transaction_id", "created")
    list_filter = ("variant", "status")
    list_display_links = None
    search_fields = ("=id", "=user__id", "=transaction_id")
    ordering = ("-created",)

    def get_urls(self) -> list[URLPattern]:
        return [super().get_urls()[0]]  # the list alone: what a provider answered is nobody's to read

    @admin.display(description=_("Amount"))
    def price(self, row: Payment) -> str:
        return money(row.cents, row.currency)


@admin.register(Refund)
class RefundAdmin(_MoneyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "state": _("State"),
        "reason": _("Reason"),
        "asked_at": _("Asked"),
        "due_at": _("Answer until"),
    }
    list_display = ("due_at", "state", "reason", "price", "asked_at", "page_link")
    list_filter = ("state",)
    list_display_links = None
    ordering = ("due_at",)
    list_select_related = ("payment",)

    def get_urls(self) -> list[URLPattern]:
        act = path("<uuid:pk>/act/", self.admin_site.admin_view(self.act), name="guardians_refund_act")
        return [super().get_urls()[0], act]

    @admin.display(description=_("Amount"))
    def price(self, row: Refund) -> str:
        return money(row.payment.cents if row.cents is None else row.cents, row.payment.currency)

    @admin.display(description=_("Page"))
    def page_link(self, row: Refund) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:guardians_refund_act", args=[row.pk]), gettext("Read")
        )

    def act(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        operator = request.user
        if not isinstance(operator, User) or not may_change(operator):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        row = get_object_or_404(Refund.objects.select_related("payment__user"), pk=pk)
        now = timezone.now()
        if request.method == "POST":
            try:
                self._decide(request, operator, pk)
            except refunds.Refused as error:
                messages.warning(request, str(_REFUSED[error.code]))
            return redirect("admin:guardians_refund_act", pk)
        stuck = row.claimed_at is not None and row.claimed_at <= now - refunds.STUCK
        context = {
            **self.admin_site.each_context(request),
            "title": _("Refund"),
            "opts": self.model._meta,
            "refund": row,
            "payment": row.payment,
            "credited": row.payment.entries.filter(kind=WalletEntry.Kind.TOP_UP).exists(),
            "unused": refunds.unused(row.payment, now),
            "stuck": stuck and row.state == Refund.State.PAYING,
        }
        return render(request, "admin/guardians/refund/act.html", context)

    def _decide(self, request: HttpRequest, operator: User, pk: uuid.UUID) -> None:
        now, paid = timezone.now(), True
        if "refuse" in request.POST:
            refunds.refuse(operator, pk, now)
        elif "was_paid" in request.POST or "was_not_paid" in request.POST:
            refunds.settle_by_hand(operator, pk, now, paid="was_paid" in request.POST)
        elif "unused" in request.POST or "everything" in request.POST:
            refunds.approve(operator, pk, now, everything="everything" in request.POST)
            paid = refunds.pay(pk)
        elif "again" in request.POST:
            paid = refunds.pay(pk)
        else:
            return
        if paid:
            messages.success(request, gettext("Done, and noted in the log."))
        else:
            messages.warning(
                request, gettext("The payment provider did not do it. Look there, then try again.")
            )
