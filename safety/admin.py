"""What the engine found, for staff: first what nobody could look at. Ids, levels and reason codes, never a text."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin import ReadOnlyAdmin
from safety.models import Assessment


@admin.register(Assessment)
class AssessmentAdmin(ReadOnlyAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "pending": _("Not yet looked at"),
        "level": _("Level"),
        "action": _("What happened"),
        "reasons": _("Reasons"),
        "created_at": _("Time"),
        "user": _("Person"),
        "message": _("Message"),
        "rules_version": _("Version of the rules"),
    }
    list_display = ("message", "user", "pending", "level", "action", "reasons", "created_at")
    list_display_links = None
    list_filter = ("pending", "level")
    search_fields = ("=user__id", "=message")
    ordering = ("-pending", "-id")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assessment]:
        """Quiet messages are nobody's business."""
        return super().get_queryset(request).filter(Q(pending=True) | Q(level__gt=0))
