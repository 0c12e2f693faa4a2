"""People and the audit log, for staff. Nobody reads text here, sets passwords or deletes people."""

from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.http import HttpRequest

from accounts import generation
from accounts.models import AuditEntry, User


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
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
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
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
    list_display = ("at", "action", "actor", "subject", "target", "data")
    list_filter = ("action",)
    search_fields = ("=actor", "=subject", "=target")
    ordering = ("-id",)
    show_full_result_count = False
