"""People and the audit log, for staff. Nobody reads text here, sets passwords or deletes people."""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_field
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import audit, generation, switches
from accounts.models import AuditEntry, Switch, User


class LabelledAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Columns, fields and filters named here, for staff: a better word for them needs no migration."""

    labels: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: Any, admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        # Made once: Django compares columns.
        shown = self.labels.keys() & set(self.list_display)
        self._columns = {name: _column(model, name, self.labels[name]) for name in shown}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        names: list[Any] = list(super().get_list_display(request))
        return [self._columns.get(name, name) for name in names]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, labels=self.labels, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        page = super().get_changelist_instance(request)
        for spec in page.filter_specs:
            if isinstance(spec, admin.FieldListFilter) and spec.field_path in self.labels:
                spec.title = self.labels[spec.field_path]
        return page


def _column(model: Any, name: str, label: Any) -> Any:
    """A column that shows a field under another name."""
    field = model._meta.get_field(name)

    def column(row: Any) -> str:
        return display_for_field(getattr(row, name), field, "—")

    return admin.display(description=label, ordering=name)(column)


class ReadOnlyAdmin(LabelledAdmin):
    """Rows that come and go by the code's own rules only."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# allauth registers its own: they would show second-step secrets and let staff move a login to another address.
for model in (Authenticator, EmailAddress, EmailConfirmation, UserSession):
    if admin.site.is_registered(model):
        admin.site.unregister(model)

# Age decides protection, so a birth date is corrected by operators only, after a look at the request, and never their own.
_EDITABLE = ("role", "is_active", "is_staff", "is_superuser", "groups", "birth_date")


@admin.register(User)
class UserAdmin(LabelledAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Id"),
        "role": _("Role"),
        "is_active": _("May sign in"),
        "is_staff": _("Works here as staff"),
        "is_superuser": _("May do everything"),
        "groups": _("Groups"),
        "language": _("Language"),
        "time_zone": _("Time zone"),
        "agreement_version": _("Agreed to version"),
        "agreed_at": _("Agreed on"),
        "date_joined": _("Here since"),
        "last_login": _("Last sign-in"),
    }
    list_display = ("id", "role", "is_active", "is_staff", "date_joined")
    list_filter = ("role", "is_active", "is_staff")
    search_fields = ("=email", "=id")
    ordering = ("-date_joined",)
    fields = (
        "id",
        "email",
        "role",
        "is_active",
        "is_staff",
        "is_superuser",
        "groups",
        "birth_date",
        "language",
        "time_zone",
        "agreement_version",
        "agreed_at",
        "date_joined",
        "last_login",
    )
    readonly_fields = tuple(name for name in fields if name not in _EDITABLE)
    filter_horizontal = ("groups",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        operator = isinstance(request.user, User) and request.user.role == User.Role.OPERATOR
        fixed = not operator or obj is None or obj.pk == request.user.pk
        return (*self.readonly_fields, "birth_date") if fixed else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "birth_date" in form.changed_data:
            assert isinstance(request.user, User)
            audit.record("account.age_corrected", actor=request.user.pk, subject=obj.pk, target="admin")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """After row and groups are stored: whoever may do other things than before logs in again."""
        super().save_related(request, form, formsets, change)
        if form.changed_data:
            generation.revoke_sessions(form.instance, actor=request.user.pk, reason="rights_changed")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "at": _("Time"),
        "action": _("Action"),
        "actor": _("Who did it"),
        "subject": _("To whom"),
        "target": _("Object"),
        "data": _("Details"),
    }
    list_display = ("at", "action", "actor", "subject", "target", "data")
    list_filter = ("action",)
    search_fields = ("=actor", "=subject", "=target")
    ordering = ("-id",)
    show_full_result_count = False


class SwitchForm(forms.Form):
    """What is asked before a function is turned off or on."""

    reason = forms.ChoiceField(label=_("Reason"), choices=[("", "—"), *switches.Reason.choices])
    note = forms.CharField(label=_("Note for the team"), max_length=switches.MAX_NOTE, required=False)
    sentence_zh = forms.CharField(
        label=_("What people read, in Chinese"),
        max_length=200,
        required=False,
        help_text=_("Empty: our own sentence."),
    )
    sentence_en = forms.CharField(label=_("What people read, in English"), max_length=200, required=False)
    confirm = forms.BooleanField(label=_("Yes, for everybody, now"))

    def __init__(self, *args: Any, turns_off: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not turns_off:
            del self.fields["sentence_zh"], self.fields["sentence_en"]


@admin.register(Switch)
class SwitchAdmin(ReadOnlyAdmin):
    """One page with every switch, and one to turn it: for operators alone."""

    def get_urls(self) -> list[URLPattern]:
        turn = path("<slug:name>/", self.admin_site.admin_view(self.turn), name="accounts_switch_turn")
        return [super().get_urls()[0], turn]  # the list, and nothing that changes a row otherwise

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and switches.may_change(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        rows = {row.name: row for row in Switch.objects.select_related("changed_by")}
        listed = [
            {
                "name": name,
                "meaning": switches.MEANING[name],
                "row": rows.get(name),
                "reason": _reason(rows.get(name)),
            }
            for name in switches.Name
        ]
        return self._page(request, _("Switches"), "admin/accounts/switch/list.html", switches=listed)

    def turn(self, request: HttpRequest, name: str) -> HttpResponse:
        operator = request.user
        if not isinstance(operator, User) or not switches.may_change(operator):
            raise PermissionDenied
        if name not in switches.Name.values:
            raise Http404
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        switch = switches.Name(name)
        row = Switch.objects.filter(name=switch).first()
        # The page says what it will do: another operator may have turned it meanwhile.
        turns_off = request.POST.get("off") == "1" if request.method == "POST" else not (row and row.off)
        form = SwitchForm(request.POST or None, turns_off=turns_off)
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            done = switches.change(
                operator,
                switch,
                off=turns_off,
                reason=switches.Reason(data["reason"]),
                note=data["note"],
                sentences=(data.get("sentence_zh", ""), data.get("sentence_en", "")),
                now=timezone.now(),
            )
            said = (
                gettext("Done, and noted in the log.")
                if done
                else gettext("It was so already. Nothing was done.")
            )
            messages.add_message(request, messages.SUCCESS if done else messages.WARNING, said)
            return redirect("admin:accounts_switch_changelist")
        title = _("Turn off: %(name)s") if turns_off else _("Turn on: %(name)s")
        return self._page(
            request,
            title % {"name": switch.label},
            "admin/accounts/switch/turn.html",
            form=form,
            turns_off=turns_off,
            meaning=switches.MEANING[switch],
        )

    def _page(self, request: HttpRequest, title: Any, template: str, **context: Any) -> HttpResponse:
        common = {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta}
        return render(request, template, {**common, **context})


def _reason(row: Switch | None) -> Any:
    return switches.Reason(row.reason).label if row and row.reason else ""
