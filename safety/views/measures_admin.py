"""Measures against accounts, and reports to authorities: who may do what is decided in the core."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from safety import authorities, clock, moderation, sanctions
from safety.models import AuthorityReport, CrisisCase, Sanction
from safety.moderation import NotPossible
from safety.views.moderation_admin import REFUSED, opened, staff_of

_REFUSED: dict[str, Any] = {
    **REFUSED,
    "staff": _("Rights of the team are taken on the page of people, by an operator."),
    "no_function": _("Choose what is closed."),
    "until": _("A suspension ends within 90 days, and every end lies in the future."),
    "case": _(
        "This person is or was in danger a short time ago. Writing and offering companions may be closed, nothing else."
    ),
}


class _PersonForm(forms.Form):
    person = forms.UUIDField(label=_("Person (id)"))

    def clean_person(self) -> User:
        user = User.objects.filter(pk=self.cleaned_data["person"]).first()
        if user is None:
            raise forms.ValidationError(gettext("There is nobody with this id."))
        return user


class ImposeForm(_PersonForm):
    kind = forms.ChoiceField(label=_("Measure"), choices=Sanction.Kind.choices, widget=forms.RadioSelect)
    functions = forms.MultipleChoiceField(
        label=_("What is closed (only where some functions are)"),
        choices=Sanction.Function.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    reason = forms.ChoiceField(label=_("Reason"), choices=sanctions.Reason.choices)
    evidence = forms.CharField(
        label=_("Number of the report or case it rests on"), max_length=80, help_text=_("No text, no names.")
    )
    days = forms.IntegerField(label=_("For how many days"), required=False, min_value=1, max_value=3650)


class ProposeForm(_PersonForm):
    case = forms.IntegerField(label=_("Case (number)"), required=False)
    authority = forms.CharField(label=_("Authority"), max_length=120)
    basis = forms.ChoiceField(label=_("Legal basis"), choices=AuthorityReport.Basis.choices)
    note = forms.CharField(
        label=_("Why"),
        max_length=authorities.MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"}),
    )


class SentForm(forms.Form):
    reference = forms.CharField(label=_("File number of what was sent"), max_length=120, required=False)


class _ActsAdmin(ReadOnlyAdmin):
    """A list with a page to begin something new and a page for acts on one row."""

    begin_label: Any
    change_list_template = "moderation/staff_list.html"
    list_display_links = None
    show_full_result_count = False

    def get_urls(self) -> list[URLPattern]:
        name, wrap = f"safety_{self.model._meta.model_name}", self.admin_site.admin_view
        return [
            path("begin/", wrap(self.begin), name=f"{name}_begin"),
            path("<str:pk>/act/", wrap(self.act), name=f"{name}_act"),
            *super().get_urls(),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and self.may_work(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and self.has_module_permission(request)

    def may_work(self, staff: User) -> bool:
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        begin = {
            "begin_url": reverse(f"admin:safety_{self.model._meta.model_name}_begin"),
            "begin_label": self.begin_label,
        }
        return super().changelist_view(request, {**begin, **(extra_context or {})})

    @admin.display(description=_("Decision"))
    def open_link(self, row: Any) -> SafeString:
        url = reverse(f"admin:safety_{self.model._meta.model_name}_act", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, gettext("Read"))

    def begin(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    def act(self, request: HttpRequest, pk: str) -> HttpResponse:
        raise NotImplementedError

    def _page(self, request: HttpRequest, title: Any, **context: Any) -> HttpResponse:
        common = {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}
        return render(request, "moderation/staff.html", {**common, **context})

    def _row(self, pk: str) -> Any:
        try:
            return get_object_or_404(self.model, pk=pk)
        except (ValueError, ValidationError):  # no id at all
            raise Http404 from None

    def _back(self) -> HttpResponse:
        return redirect(f"admin:safety_{self.model._meta.model_name}_changelist")

    def _allowed(self, request: HttpRequest) -> User:
        staff = staff_of(request)
        if not self.may_work(staff):
            raise PermissionDenied
        return staff


def _refused(request: HttpRequest, error: NotPossible | sanctions.NotAllowed) -> None:
    messages.warning(request, str(_REFUSED.get(error.code, error.code)))


@admin.register(Sanction)
class SanctionAdmin(_ActsAdmin):
    begin_label = _("Impose a measure")
    labels: ClassVar[dict[str, Any]] = {
        "user": _("Person"),
        "kind": _("Measure"),
        "functions": _("What is closed"),
        "reason": _("Reason"),
        "evidence": _("Rests on"),
        "until": _("Until"),
        "lifted_at": _("Lifted"),
    }
    list_display = ("user", "kind", "functions", "reason", "evidence", "until", "lifted_at", "open_link")
    list_filter = ("kind",)
    search_fields = ("=user__id",)
    ordering = ("-created_at",)

    def may_work(self, staff: User) -> bool:
        return moderation.is_moderator(staff)

    def begin(self, request: HttpRequest) -> HttpResponse:
        staff = self._allowed(request)
        form = ImposeForm(request.POST or None, initial={"person": request.GET.get("person", "")})
        if request.method == "POST" and form.is_valid():
            data, now = form.cleaned_data, clock.now()
            try:
                sanctions.impose(
                    staff,
                    data["person"],
                    Sanction.Kind(data["kind"]),
                    reason=sanctions.Reason(data["reason"]),
                    evidence=data["evidence"],
                    now=now,
                    functions=[Sanction.Function(name) for name in data["functions"]],
                    until=now + dt.timedelta(days=data["days"]) if data["days"] else None,
                )
            except sanctions.NotAllowed as refused:
                form.add_error(None, str(_REFUSED.get(refused.code, refused.code)))
            else:
                messages.success(
                    request, gettext("The measure is in force. The person reads why and can object.")
                )
                return self._back()
        return self._page(request, self.begin_label, form=form, begins=True)

    def act(self, request: HttpRequest, pk: str) -> HttpResponse:
        staff = self._allowed(request)
        row = self._row(pk)
        if request.method == "POST":
            try:
                sanctions.lift(staff, row.pk, clock.now())
            except sanctions.NotAllowed as refused:
                _refused(request, refused)
            else:
                messages.success(request, gettext("The measure is lifted."))
            return self._back()
        known = row.reason in sanctions.Reason.values
        facts = [
            (_("Person"), row.user_id),
            (_("Measure"), row.get_kind_display()),
            (_("Reason"), sanctions.Reason(row.reason).label if known else row.reason),
            (_("Rests on"), row.evidence),
        ]
        holds = row.lifted_at is None and (row.until is None or row.until > timezone.now())
        acts = [("lift", _("Lift it now"))] if holds else []
        return self._page(request, row.get_kind_display(), facts=facts, acts=acts)


@admin.register(AuthorityReport)
class AuthorityReportAdmin(_ActsAdmin):
    begin_label = _("Prepare a report to an authority")
    labels: ClassVar[dict[str, Any]] = {
        "subject": _("Person"),
        "authority": _("Authority"),
        "basis": _("Legal basis"),
        "state": _("State"),
        "proposed_at": _("Prepared"),
        "approved_at": _("Approved"),
        "sent_at": _("Sent"),
    }
    list_display = (
        "subject",
        "authority",
        "basis",
        "state",
        "proposed_at",
        "approved_at",
        "sent_at",
        "open_link",
    )
    list_filter = ("state",)
    search_fields = ("=subject__id",)
    ordering = ("-id",)

    def may_work(self, staff: User) -> bool:
        return authorities.is_operator(staff)

    def begin(self, request: HttpRequest) -> HttpResponse:
        staff = self._allowed(request)
        form = ProposeForm(request.POST or None, initial={"person": request.GET.get("person", "")})
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            case = CrisisCase.objects.filter(pk=data["case"]).first() if data["case"] else None
            try:
                if data["case"] and case is None:
                    raise NotPossible("bad_decision")
                authorities.propose(
                    staff,
                    data["person"],
                    case=case,
                    authority=data["authority"],
                    basis=AuthorityReport.Basis(data["basis"]),
                    note=data["note"],
                    now=clock.now(),
                )
            except NotPossible as refused:
                form.add_error(None, str(_REFUSED.get(refused.code, refused.code)))
            else:
                messages.success(request, gettext("Prepared. A second operator approves it within a day."))
                return self._back()
        return self._page(request, self.begin_label, form=form, begins=True)

    def act(self, request: HttpRequest, pk: str) -> HttpResponse:
        staff = self._allowed(request)
        row = self._row(pk)
        if staff.pk == row.subject_id:
            raise PermissionDenied
        if request.method == "POST":
            try:
                self._do(staff, row, request.POST, clock.now())
            except NotPossible as refused:
                _refused(request, refused)
            else:
                messages.success(request, gettext("The decision is recorded."))
            return self._back()
        facts = [
            (_("Person"), row.subject_id),
            (_("Case"), row.case.number if row.case else "—"),
            (_("Authority"), row.authority),
            (_("Legal basis"), row.get_basis_display()),
            (_("State"), row.get_state_display()),
            (_("File number of what was sent"), row.reference or "—"),
        ]
        acts: list[tuple[str, Any]] = []
        form = None
        if row.state == AuthorityReport.State.PROPOSED:
            if staff.pk != row.proposed_by_id:
                acts.append(("approve", _("Approve")))
            acts.append(("withdraw", _("Withdraw")))
        elif row.state == AuthorityReport.State.APPROVED:
            form = SentForm()
            acts = [("sent", _("It was sent")), ("withdraw", _("Withdraw"))]
        return self._page(
            request, row.authority, facts=facts, texts=[(_("Why"), opened(row.open))], acts=acts, form=form
        )

    @staticmethod
    def _do(staff: User, row: AuthorityReport, data: Any, now: dt.datetime) -> None:
        if "approve" in data:
            authorities.approve(staff, row.pk, now)
        elif "withdraw" in data:
            authorities.withdraw(staff, row.pk, now)
        elif "sent" in data:
            authorities.sent(staff, row.pk, data.get("reference", ""), now)
        else:
            raise NotPossible("bad_decision")
