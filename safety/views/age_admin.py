"""Suspected minors before a human: codes, times and what the person says to it. Nobody opens a conversation from here."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from safety import age_reviews, clock
from safety.models import AgeReview
from safety.views.moderation_admin import TicketAdmin, opened

SIGNS: dict[str, Promise] = {
    "stated": _("says that they are under 18"),
    "grade": _("says that they go to a school for younger people"),
    "school": _("speaks of a school day of their own"),
    "home": _("speaks of rules of their parents"),
    "meaning": _("sounds young to the trained part, which is often wrong"),
}


class AgeReviewForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=AgeReview.Decision.choices, widget=forms.RadioSelect
    )


@admin.register(AgeReview)
class AgeReviewAdmin(TicketAdmin):
    def may_decide(self, staff: User, row: AgeReview) -> bool:
        return age_reviews.may_decide(staff, row)

    def form_for(self, row: AgeReview, data: Any) -> forms.Form:
        return AgeReviewForm(data)

    def act(self, request: HttpRequest, staff: User, row: AgeReview, data: dict[str, Any]) -> None:
        age_reviews.decide(staff, row.pk, AgeReview.Decision(data["decision"]), clock.now())

    def shown(self, request: HttpRequest, staff: User, row: AgeReview) -> dict[str, Any]:
        facts: list[tuple[Any, Any]] = [
            (_("Person"), row.person_id),
            (_("Version of the signs"), row.version),
            *((_moment(at), SIGNS.get(code, code)) for code, at in age_reviews.signs_of(row)),
        ]
        if row.decision:
            facts.append((_("Decision"), row.outcome))
        said = opened(row.open)
        return {"facts": facts, "texts": [(_("What the person says"), said or gettext("Nothing so far."))]}


def _moment(at: Any) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")
