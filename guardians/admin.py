"""Who is linked to whom, without the sealed details."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.admin import ReadOnlyAdmin
from guardians.models import EmergencyContact, Guardianship
from guardians.views import refunds_admin  # noqa: F401  (they register themselves)


class _LinkAdmin(ReadOnlyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Id"),
        "minor": _("Minor"),
        "guardian": _("Guardian"),
        "user": _("Person"),
        "state": _("State"),
        "consented_at": _("Agreed on"),
        "created_at": _("Given on"),
    }
    exclude = ("details",)
    ordering = ("-created_at",)
    list_filter = ("state",)


@admin.register(Guardianship)
class GuardianshipAdmin(_LinkAdmin):
    list_display = ("id", "minor", "guardian", "state", "consented_at")
    search_fields = ("=minor__id", "=guardian__id")


@admin.register(EmergencyContact)
class EmergencyContactAdmin(_LinkAdmin):
    list_display = ("id", "user", "state", "created_at")
    search_fields = ("=user__id",)
