"""Staff pages of service notices: draft, publish, withdraw, resolve; and the removal of a companion. For operators alone."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied, ValidationError
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
from accounts.switches import Name, may_change
from companion import retirement, service_notices
from companion.models import Persona
from companion.service_models import FLOORS, ServiceNotice
from companion.service_notices import Refused
from safety import wording

Kind = ServiceNotice.Kind
_REFUSED: dict[str, Any] = {
    "not_operator": _("Only an operator may do this."),
    "too_soon": _("It is too soon: people need notice beforehand. Choose a later time."),
    "no_text": _("Title and text are needed in both languages."),
    "same_person": _("The end of the service is published by a second operator."),
    "too_late": _("It has happened and cannot be withdrawn."),
    "no_persona": _("Choose a companion that is published."),
    "no_feature": _("Choose the feature."),
    "gone": _("Somebody has decided meanwhile. Nothing was done."),
}
_MEMBERS = [kind for kind in Kind if kind != Kind.PERSONA_REMOVAL]


class NoticeForm(forms.ModelForm):  # type: ignore[type-arg]
    kind = forms.ChoiceField(label=_("What"), choices=[(kind.value, kind.label) for kind in _MEMBERS])
    persona = forms.SlugField(label=_("Companion (the last part of its address)"), required=False)
    feature = forms.ChoiceField(
        label=_("Feature that is turned off then"), choices=[("", "—"), *Name.choices], required=False
    )
    takes_effect_at = forms.SplitDateTimeField(
        label=_("When it happens"), widget=AdminSplitDateTime, required=False
    )

    class Meta:
        model = ServiceNotice
        fields = (
            "kind",
            "persona",
            "feature",
            "takes_effect_at",
            "title_zh",
            "title_en",
            "text_zh",
            "text_en",
        )
        labels: ClassVar[dict[str, Any]] = {
            "title_zh": _("Title, in Chinese"),
            "title_en": _("Title, in English"),
            "text_zh": _("Text, in Chinese"),
            "text_en": _("Text, in English"),
        }
        widgets: ClassVar[dict[str, Any]] = {
            "text_zh": forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"}),
            "text_en": forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"}),
        }

    def clean_persona(self) -> Persona | None:
        slug = self.cleaned_data["persona"]
        if not slug:
            return None
        persona = Persona.objects.filter(slug=slug, state=Persona.State.PUBLISHED).first()
        if persona is None:
            raise ValidationError(_REFUSED["no_persona"])
        return persona

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        kind = data.get("kind")
        if kind == Kind.PERSONA_RETIREMENT:
            if data.get("persona") is None:
                self.add_error("persona", _REFUSED["no_persona"])
        else:
            data["persona"] = None
        if kind == Kind.FEATURE_RETIREMENT and not data.get("feature"):
            self.add_error("feature", _REFUSED["no_feature"])
        if not data.get("takes_effect_at"):
            if kind in FLOORS:
                self.add_error("takes_effect_at", _("Say when it happens."))
            data["takes_effect_at"] = timezone.now()
        elif kind in FLOORS and data["takes_effect_at"] < timezone.now() + service_notices.lead(kind):
            days = service_notices.lead(kind).days
            self.add_error(
                "takes_effect_at", _("At least %(days)s days after it is published.") % {"days": days}
            )
        for field, language in (("title_zh", "zh"), ("title_en", "en"), ("text_zh", "zh"), ("text_en", "en")):
            if not data.get(field):
                self.add_error(field, _("Write it in both languages."))
            elif wording.lint(data[field], language):
                self.add_error(
                    field, _("No drama, no promises, no exclamation marks: please say it plainly.")
                )
        return data


class RemovalForm(forms.Form):
    persona = forms.SlugField(label=_("Companion (the last part of its address)"))
    why = forms.ChoiceField(
        label=_("Why, as people are told"),
        choices=[
            ("", "—"),
            *((w.value, w.label) for w in ServiceNotice.Why if w != ServiceNotice.Why.AUTHOR),
        ],
    )
    confirm = forms.BooleanField(label=_("Yes, for everybody, now"))


@admin.register(ServiceNotice)
class ServiceNoticeAdmin(ReadOnlyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "kind": _("What"),
        "takes_effect_at": _("When it happens"),
        "published_at": _("Published"),
        "withdrawn_at": _("Withdrawn"),
        "resolved_at": _("Over since"),
        "carried_out_at": _("Carried out"),
    }
    list_display = (
        "kind",
        "title_en",
        "takes_effect_at",
        "published_at",
        "withdrawn_at",
        "resolved_at",
        "carried_out_at",
        "page_link",
    )
    list_display_links = None
    list_filter = ("kind",)
    ordering = ("-created_at",)
    change_list_template = "admin/companion/servicenotice/list.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("draft/", wrap(self.draft), name="companion_servicenotice_draft"),
            path("remove/", wrap(self.remove), name="companion_servicenotice_remove"),
            path("<int:pk>/act/", wrap(self.act), name="companion_servicenotice_act"),
        ]
        return [super().get_urls()[0], *own]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and may_change(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    @admin.display(description=_("Page"))
    def page_link(self, row: ServiceNotice) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:companion_servicenotice_act", args=[row.pk]),
            gettext("Read"),
        )

    def draft(self, request: HttpRequest) -> HttpResponse:
        operator = _operator(request)
        if refused := _wrong_verb(request):
            return refused
        form = NoticeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                row = service_notices.draft(operator, form.save(commit=False))
            except Refused as error:
                form.add_error(None, _REFUSED[error.code])
            else:
                messages.success(request, gettext("Saved. Nobody reads it before it is published."))
                return redirect("admin:companion_servicenotice_act", row.pk)
        leads = [(Kind(kind).label, service_notices.lead(kind).days) for kind in FLOORS]
        return self._page(request, _("Draft a notice"), "draft.html", form=form, leads=leads)

    def act(self, request: HttpRequest, pk: int) -> HttpResponse:
        operator = _operator(request)
        if refused := _wrong_verb(request):
            return refused
        notice = get_object_or_404(ServiceNotice.objects.select_related("persona"), pk=pk)
        now = timezone.now()
        if request.method == "POST":
            try:
                if "publish" in request.POST:
                    service_notices.publish(operator, pk, now)
                elif "withdraw" in request.POST:
                    service_notices.withdraw(operator, pk, now)
                elif "resolve" in request.POST:
                    service_notices.resolve(operator, pk, now)
                messages.success(request, gettext("Done, and noted in the log."))
            except Refused as error:
                messages.warning(request, str(_REFUSED[error.code]))
            return redirect("admin:companion_servicenotice_act", pk)
        over = notice.withdrawn_at or notice.carried_out_at
        context = {
            "notice": notice,
            "texts": [
                ("zh-hans", service_notices.show(notice, "zh-hans", operator.time_zone, now)),
                ("en", service_notices.show(notice, "en", operator.time_zone, now)),
            ],
            "people": service_notices.audience(notice).count() if notice.published_at is None else None,
            "mailed": notice.mails.filter(sent_at__isnull=False).count(),
            "may_publish": notice.published_at is None and not over,
            "may_withdraw": not over and not (notice.published_at and notice.kind in service_notices.AT_ONCE),
            "may_resolve": notice.kind == Kind.OUTAGE and notice.published_at and not notice.resolved_at,
            "needs_second": notice.kind == Kind.END_OF_SERVICE and notice.created_by_id == operator.pk,
        }
        return self._page(request, Kind(notice.kind).label, "act.html", **context)

    def remove(self, request: HttpRequest) -> HttpResponse:
        operator = _operator(request)
        if refused := _wrong_verb(request):
            return refused
        form = RemovalForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            persona = Persona.objects.filter(slug=form.cleaned_data["persona"]).first()
            try:
                if persona is None:
                    raise retirement.NotPossible
                notice = retirement.remove(operator, persona.pk, form.cleaned_data["why"], timezone.now())
            except retirement.NotPossible:
                form.add_error("persona", _("There is no such companion, or it has ended already."))
            else:
                messages.success(request, gettext("Done, and noted in the log."))
                return redirect("admin:companion_servicenotice_act", notice.pk)
        return self._page(request, _("Take a companion away at once"), "remove.html", form=form)

    def _page(self, request: HttpRequest, title: Any, template: str, **context: Any) -> HttpResponse:
        common = {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}
        return render(
            request,
            f"admin/companion/servicenotice/{template}",
            {**common, "media": AdminSplitDateTime().media, **context},
        )


def _operator(request: HttpRequest) -> User:
    if not isinstance(request.user, User) or not may_change(request.user):
        raise PermissionDenied
    return request.user


def _wrong_verb(request: HttpRequest) -> HttpResponse | None:
    allowed = ["GET", "HEAD", "POST"]
    return None if request.method in allowed else HttpResponseNotAllowed(allowed)
