"""People and the audit log, for staff. Nobody reads text here, sets passwords or deletes people."""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.admin.utils import display_for_field
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import generation
from accounts.models import AuditEntry, User


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

# Age decides protection, so a birth date is corrected by staff only, after a look at the request.
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
