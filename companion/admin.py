"""The review of companions that people wrote: two reviewers, submitted texts only, and never their own."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import LabelledAdmin
from accounts.models import User
from companion import authoring, personas
from companion.cards import AgeRating, Relationship
from companion.models import Persona
from companion.views import service_notices_admin  # noqa: F401  (they register themselves)
from safety.views import age_admin, measures_admin, moderation_admin  # noqa: F401


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=[("approve", _("Approve")), ("refuse", _("Do not accept"))]
    )
    age_rating = forms.ChoiceField(
        label=_("For whom"), choices=[(rating.value, rating.label) for rating in AgeRating]
    )
    reason = forms.ChoiceField(
        label=_("Reason, if not accepted"), choices=[("", "—"), *authoring.Reason.choices], required=False
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("decision") == "refuse" and not data.get("reason"):
            self.add_error("reason", _("Choose what the author should change."))
        return data


class _CodeFilter(admin.SimpleListFilter):
    """The database holds codes; their words are in companion/cards.py."""

    parameter_name: str
    codes: ClassVar[type[AgeRating] | type[Relationship]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(code.value, code.label) for code in self.codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Persona]) -> QuerySet[Persona]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class _RelationshipFilter(_CodeFilter):
    title = _("Relationship")
    parameter_name = "relationship"
    codes = Relationship


class _AgeFilter(_CodeFilter):
    title = _("For whom")
    parameter_name = "age_rating"
    codes = AgeRating


@admin.register(Persona)
class PersonaAdmin(LabelledAdmin):
    """Oldest submission first. Ids and codes only: the text opens on the page of the review."""

    labels: ClassVar[dict[str, Any]] = {
        "slug": _("Id"),
        "state": _("State"),
        "version": _("Version"),
        "submitted_at": _("Submitted"),
        "approved_at": _("Approved once"),
    }
    list_display = (
        "slug",
        "state",
        "relationship_label",
        "age_label",
        "version",
        "submitted_at",
        "approved_at",
        "review_link",
    )
    list_filter = ("state", _RelationshipFilter, _AgeFilter)
    list_display_links = None
    ordering = ("submitted_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Persona]:
        rows: QuerySet[Persona] = super().get_queryset(request)
        return rows.filter(author__isnull=False).exclude(state=Persona.State.DRAFT).defer("card")

    def get_urls(self) -> list[URLPattern]:
        review = path(
            "<int:pk>/review/", self.admin_site.admin_view(self.review), name="companion_persona_review"
        )
        return [review, *super().get_urls()]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and authoring.is_reviewer(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Persona | None = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Persona | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Persona | None = None) -> bool:
        return False

    @admin.display(description=_("Relationship"), ordering="relationship")
    def relationship_label(self, persona: Persona) -> Promise:
        return Relationship(persona.relationship).label

    @admin.display(description=_("For whom"), ordering="age_rating")
    def age_label(self, persona: Persona) -> Promise:
        return AgeRating(persona.age_rating).label

    @admin.display(description=_("Review"))
    def review_link(self, persona: Persona) -> SafeString:
        url = reverse("admin:companion_persona_review", args=[persona.pk])
        return format_html('<a href="{}">{}</a>', url, gettext("Read"))

    def review(self, request: HttpRequest, pk: int) -> HttpResponse:
        assert isinstance(request.user, User)
        persona = get_object_or_404(Persona, pk=pk)
        if not authoring.may_review(request.user, persona):
            raise PermissionDenied
        form = DecisionForm(
            request.POST or None, initial={"age_rating": persona.age_rating, "version": persona.version}
        )
        if request.method == "POST" and form.is_valid():
            self._decide(request, request.user, persona, form.cleaned_data)
            return redirect("admin:companion_persona_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": persona.slug,
            "opts": self.model._meta,
            "persona": personas.show(persona, request.LANGUAGE_CODE),
            "character": persona.open_card()["character"],
            "form": form,
            "open": persona.state == Persona.State.IN_REVIEW,
            "approved_once": persona.approved_at is not None and persona.state == Persona.State.IN_REVIEW,
            "approved_by_reader": persona.approved_by_id == request.user.pk,
        }
        return render(request, "admin/companion/persona/review.html", context)

    def _decide(self, request: HttpRequest, reviewer: User, persona: Persona, data: dict[str, Any]) -> None:
        # The version that was read, not the one that may have replaced it since.
        persona.version = data["version"]
        try:
            if data["decision"] == "refuse":
                authoring.refuse(reviewer, persona, reason=authoring.Reason(data["reason"]))
                done = gettext("The decision is recorded.")
            elif authoring.approve(reviewer, persona, age_rating=AgeRating(data["age_rating"])):
                done = gettext("Published: two people have approved it.")
            else:
                done = gettext(
                    "Approved once. It is published when a second person approves it within a day."
                )
        except authoring.NotPossible:
            messages.warning(
                request,
                gettext(
                    "It was changed or decided meanwhile, or you have approved it already. Nothing was done."
                ),
            )
        else:
            messages.success(request, done)
