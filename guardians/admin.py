"""Who is linked to whom, without the sealed details."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from guardians.models import EmergencyContact, Guardianship


class _LinkAdmin(ReadOnlyAdmin):
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
