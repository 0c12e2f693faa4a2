"""What the engine found and what became of it, for staff. Ids, levels and codes, never what somebody said.

The crisis desk (safety/views/console.py) is where people act; here are the roster and the records.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import LabelledAdmin, ReadOnlyAdmin
from accounts.models import User
from safety import clock, readings
from safety.cases import STAFF
from safety.models import Assessment, CrisisCase, Delivery, OperationsAlert, Shift, StaffSession
from safety.views.console_words import refusal


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


def _is(request: HttpRequest, *roles: str) -> bool:
    user = request.user
    return isinstance(user, User) and user.is_active and user.is_staff and user.role in roles


class RecordAdmin(ReadOnlyAdmin):
    """Rows of the crisis path for those whose work it is, never about themselves; the console is where people act."""

    roles: ClassVar[tuple[str, ...]] = (User.Role.OPERATOR,)
    subject: ClassVar[str] = ""  # the way to the person of a row
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is(request, *self.roles)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is(request, *self.roles)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        # Not exclude(): it would also drop rows without a case.
        if not self.subject:
            return rows
        return rows.filter(~Q(**{self.subject: request.user.pk}) | Q(**{f"{self.subject}__isnull": True}))


@admin.register(CrisisCase)
class CaseAdmin(RecordAdmin):
    """Closed cases: what was decided and when. Open ones are in the console."""

    roles = STAFF
    subject = "user"
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Number"),
        "user": _("Person"),
        "level": _("Level"),
        "category": _("Danger"),
        "opened_at": _("Opened"),
        "first_notice_at": _("First notice"),
        "first_seen_at": _("First seen"),
        "first_held_at": _("First taken over"),
        "closed_at": _("Closed"),
        "closed_by": _("Closed by"),
        "close_reason": _("Reason"),
        "outcome": _("Outcome"),
        "second_by": _("Second human"),
        "second_at": _("Second look"),
        "rung": _("Last rung"),
        "round": _("Round"),
        "safeguarding": _("Nobody near is told"),
        "contacts_told": _("Contacts told"),
    }
    list_display = (
        "id",
        "level",
        "category",
        "opened_at",
        "first_seen_at",
        "first_held_at",
        "closed_at",
        "close_reason",
        "outcome",
        "second_at",
    )
    list_filter = ("level", "category", "close_reason", "outcome")
    search_fields = ("=id", "=user__id")
    ordering = ("-id",)
    fields = tuple(labels)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(state=CrisisCase.State.CLOSED, is_canary=False)


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    subject = "case__user"
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Number"),
        "case": _("Case"),
        "alert": _("Alert"),
        "template": _("Text"),
        "level": _("Level"),
        "rung": _("Rung"),
        "round": _("Round"),
        "channel": _("Channel"),
        "recipient": _("Recipient"),
        "state": _("State"),
        "attempt_no": _("Attempts"),
        "failures": _("Failures"),
        "error": _("Error"),
        "created_at": _("Time"),
        "next_at": _("Next attempt"),
        "accepted_at": _("Handed over"),
        "confirmed_at": _("Arrived"),
    }
    list_display = (
        "id",
        "case",
        "alert",
        "rung",
        "channel",
        "recipient",
        "state",
        "attempt_no",
        "error",
        "created_at",
    )
    list_filter = ("state", "channel", "template")
    search_fields = ("=case__id", "=recipient")
    ordering = ("-id",)
    fields = tuple(labels)


@admin.register(OperationsAlert)
class AlertAdmin(RecordAdmin):
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Number"),
        "code": _("Code"),
        "subject": _("Object"),
        "opened_at": _("Since"),
        "last_seen_at": _("Last seen"),
        "count": _("How often"),
        "acknowledged_by": _("Acknowledged by"),
        "acknowledged_at": _("Acknowledged"),
        "resolved_at": _("Over since"),
    }
    list_display = tuple(labels)
    list_filter = ("code",)
    ordering = ("-id",)
    fields = tuple(labels)


@admin.register(StaffSession)
class ReadingAdmin(RecordAdmin):
    """Who read whom. Here a second person approves a reading without a case, and an operator reviews flagged ones."""

    subject = "subject"
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Id"),
        "staff": _("Reader"),
        "subject": _("Person"),
        "case": _("Case"),
        "created_at": _("Time"),
        "expires_at": _("Ends"),
        "approved_by": _("Approved by"),
        "approved_at": _("Approved"),
        "flagged": _("To be reviewed"),
        "reviewed_by": _("Reviewed by"),
        "messages_read": _("Messages read"),
    }
    list_display = (
        "created_at",
        "staff",
        "subject",
        "case",
        "approved_at",
        "flagged",
        "reviewed_by",
        "messages_read",
    )
    list_filter = ("flagged",)
    search_fields = ("=staff__id", "=subject__id", "=case__id")
    ordering = ("-created_at",)
    fields = (*labels, "why")
    readonly_fields = ("why",)
    actions = ("approve", "review")

    @admin.display(description=_("Reason"))
    def why(self, session: StaffSession) -> str:
        return readings.open_reason(session) or "—"

    @admin.action(description=_("Approve the reading (second person)"))
    def approve(self, request: HttpRequest, chosen: QuerySet[StaffSession]) -> None:
        self._each(request, chosen, lambda session, staff: readings.approve(session, staff, clock.now()))

    @admin.action(description=_("Reviewed: rightly read"))
    def review(self, request: HttpRequest, chosen: QuerySet[StaffSession]) -> None:
        self._each(request, chosen, readings.review)

    def _each(
        self,
        request: HttpRequest,
        chosen: QuerySet[StaffSession],
        act: Callable[[StaffSession, User], object],
    ) -> None:
        assert isinstance(request.user, User)
        for session in chosen:
            try:
                act(session, request.user)
            except readings.Refused as error:
                messages.warning(request, refusal(error.code))
            else:
                messages.success(request, gettext("Recorded."))


class ShiftForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        start, end = data.get("starts_at"), data.get("ends_at")
        if start and end and end <= start:
            self.add_error("ends_at", gettext("A shift ends after it begins."))
        return data


class _StaffField(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return obj.nickname or str(obj.pk)


@admin.register(Shift)
class ShiftAdmin(LabelledAdmin):
    """The roster. Operators make it; without any shift every moderator counts as being on duty."""

    form = ShiftForm
    labels: ClassVar[dict[str, Any]] = {
        "id": _("Number"),
        "user": _("Who"),
        "role": _("As"),
        "starts_at": _("From"),
        "ends_at": _("Until"),
    }
    list_display = ("starts_at", "ends_at", "role", "who")
    list_filter = ("role",)
    ordering = ("-starts_at",)
    date_hierarchy = "starts_at"
    fields = ("user", "role", "starts_at", "ends_at")

    @admin.display(description=_("Who"))
    def who(self, shift: Shift) -> str:
        return shift.user.nickname or str(shift.user.pk)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            staff = User.objects.filter(is_staff=True, is_active=True, role__in=STAFF).order_by("nickname")
            return _StaffField(queryset=staff, label=self.labels["user"])
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is(request, *STAFF)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is(request, *STAFF)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is(request, User.Role.OPERATOR)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is(request, User.Role.OPERATOR)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is(request, User.Role.OPERATOR)
