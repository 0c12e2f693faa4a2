"""The queues of the team: reports, complaints, appeals. First what is about danger or minors, then what is due first.

Lists show numbers and codes. Texts open on the page of one ticket, for people who may decide about it.
"""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.mail import send_mail
from django.db.models import Case, IntegerField, Q, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import keyring
from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from companion import personas, rulings
from companion.models import Persona
from companion.views import use_words
from guardians.limits import effective_band
from guardians.models import Guardianship
from safety import appeals, clock, complaints, moderation, use_reviews
from safety.models import Appeal, Complaint, Lane, Report, UseReview
from safety.moderation import NotPossible

REFUSED: dict[str, Any] = {
    "not_staff": _("Only a moderator or an operator may do this."),
    "not_operator": _("Only an operator may do this."),
    "oneself": _("Nobody decides about themselves."),
    "same_person": _("A second person has to decide: you have decided already."),
    "gone": _("Somebody has decided meanwhile. Nothing was done."),
    "not_lead": _("Only who is responsible for protection decides about this."),
    "bad_decision": _("Say what holds instead, and check that it is possible."),
    "expired": _("It waited for more than a day. It has to be prepared anew."),
}
_ORDER = Case(
    When(~Q(state="open"), then=Value(9)),
    When(lane=Lane.SAFETY, then=Value(1)),
    When(lane=Lane.MINORS, then=Value(2)),
    default=Value(3),
    output_field=IntegerField(),
)


def staff_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # behind admin_view
    return request.user


class TicketAdmin(ReadOnlyAdmin):
    """A queue, and the page on which one ticket is decided."""

    labels: ClassVar[dict[str, Any]] = {
        "number": _("Number"),
        "lane": _("Queue"),
        "state": _("State"),
        "due_at": _("Due"),
        "escalated_at": _("Late, told to the people on call"),
    }
    list_display: Any = ("number", "lane", "state", "due_at", "escalated_at", "open_link")
    list_display_links = None
    list_filter: ClassVar[Any] = ("state", "lane")
    search_fields = ("=number",)
    ordering = (_ORDER.asc(), "due_at")
    show_full_result_count = False

    def get_urls(self) -> list[URLPattern]:
        name = f"safety_{self.model._meta.model_name}_decide"
        return [
            path("<int:pk>/decide/", self.admin_site.admin_view(self.decide), name=name),
            *super().get_urls(),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return isinstance(request.user, User) and moderation.is_moderator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and self.has_module_permission(request)

    @admin.display(description=_("Decision"))
    def open_link(self, row: Any) -> SafeString:
        url = reverse(f"admin:safety_{self.model._meta.model_name}_decide", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, gettext("Read"))

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        staff, row = staff_of(request), get_object_or_404(self.model, pk=pk)
        if not self.may_decide(staff, row):
            raise PermissionDenied
        form = self.form_for(row, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                self.act(request, staff, row, form.cleaned_data)
            except NotPossible as refused:
                messages.warning(request, str(REFUSED.get(refused.code, refused.code)))
            else:
                messages.success(request, gettext("The decision is recorded."))
            return redirect(f"admin:safety_{self.model._meta.model_name}_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": row.number,
            "opts": self.model._meta,
            "row": row,
            "form": form if row.state == "open" else None,
            **self.shown(request, staff, row),
        }
        return render(request, "moderation/staff.html", context)

    def may_decide(self, staff: User, row: Any) -> bool:
        raise NotImplementedError

    def form_for(self, row: Any, data: Any) -> forms.Form:
        raise NotImplementedError

    def act(self, request: HttpRequest, staff: User, row: Any, data: dict[str, Any]) -> None:
        raise NotImplementedError

    def shown(self, request: HttpRequest, staff: User, row: Any) -> dict[str, Any]:
        """`facts`: pairs of label and value. `texts`: pairs of heading and text."""
        raise NotImplementedError


class ReportDecisionForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=Report.Decision.choices, widget=forms.RadioSelect
    )


@admin.register(Report)
class ReportAdmin(TicketAdmin):
    def may_decide(self, staff: User, row: Report) -> bool:
        return moderation.may_decide(staff, row)

    def form_for(self, row: Report, data: Any) -> forms.Form:
        return ReportDecisionForm(data)

    def act(self, request: HttpRequest, staff: User, row: Report, data: dict[str, Any]) -> None:
        rulings.decide_report(staff, row.pk, Report.Decision(data["decision"]), clock.now())

    def shown(self, request: HttpRequest, staff: User, row: Report) -> dict[str, Any]:
        facts = [(_("About"), row.get_kind_display()), (_("Reason"), row.get_reason_display())]
        texts: list[tuple[Any, str]] = []
        if row.state != "open":
            return {"facts": [*facts, (_("Decision"), row.outcome)], "texts": texts}
        if row.comment is not None:
            texts.append((_("What the person added"), opened(row.open_comment)))
        if row.kind == Report.Kind.MESSAGE:
            for message, text in rulings.reported(staff, row, clock.now()):
                reply = message.public_id == row.target
                heading = _("The reported reply") if reply else _("The message before it")
                texts.append((heading, text or gettext("It cannot be read any more.")))
        persona = Persona.objects.filter(public_id=row.persona).first()
        if persona is not None:
            facts.append((_("Companion"), persona.slug))
            if persona.state == Persona.State.PUBLISHED:
                shown = personas.show(persona, request.LANGUAGE_CODE)
                texts.append((shown.name, f"{shown.tagline}\n\n{shown.description}"))
        return {"facts": facts, "texts": texts}


class ComplaintDecisionForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=Complaint.Decision.choices, widget=forms.RadioSelect
    )
    answer = forms.CharField(
        label=_("Answer"),
        help_text=_("Whoever has the number reads it. Do not repeat what was told in confidence."),
        max_length=complaints.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 8, "class": "vLargeTextField"}),
    )


@admin.register(Complaint)
class ComplaintAdmin(TicketAdmin):
    labels: ClassVar[dict[str, Any]] = {**TicketAdmin.labels, "category": _("About")}
    list_display: Any = (
        "number",
        "lane",
        "category",
        "state",
        "due_at",
        "escalated_at",
        "open_link",
    )

    def may_decide(self, staff: User, row: Complaint) -> bool:
        return complaints.may_decide(staff, row)

    def form_for(self, row: Complaint, data: Any) -> forms.Form:
        return ComplaintDecisionForm(data)

    def act(self, request: HttpRequest, staff: User, row: Complaint, data: dict[str, Any]) -> None:
        done = complaints.decide(
            staff, row.pk, Complaint.Decision(data["decision"]), data["answer"], clock.now()
        )
        _tell(request, done)

    def shown(self, request: HttpRequest, staff: User, row: Complaint) -> dict[str, Any]:
        facts = [
            (_("About"), row.get_category_display()),
            (_("Wants to be told by e-mail"), gettext("Yes") if row.email else gettext("No")),
        ]
        texts: list[tuple[Any, str]] = [(_("What happened"), opened(lambda: keyring.open_secret(row.text)))]
        if row.answer:
            facts.append((_("Decision"), row.outcome))
            texts.append((_("Answer"), opened(lambda: keyring.open_secret(row.answer))))
        return {"facts": facts, "texts": texts}


def _tell(request: HttpRequest, row: Complaint) -> None:
    """After the commit: where the answer stands, never the answer itself. Without the mail it stands there too."""
    if not row.email:
        return
    address = settings.SITE_URL + reverse("complaint", args=[row.number])
    text = gettext("Your complaint %(number)s has been answered. Read the answer here: %(address)s")
    try:
        send_mail(
            gettext("Your complaint has been answered"),
            text % {"number": row.number, "address": address},
            None,
            [keyring.open_secret(row.email)],
        )
    except (OSError, keyring.KeyringError):
        messages.warning(request, gettext("The answer stands on its page, but the e-mail could not be sent."))


class AppealDecisionForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=Appeal.Decision.choices, widget=forms.RadioSelect
    )
    reason = forms.ChoiceField(label=_("Reason"), choices=Appeal.Reason.choices)
    answer = forms.CharField(
        label=_("Answer to the person"),
        max_length=appeals.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"}),
    )
    birth_date = forms.DateField(
        label=_("Birth date that holds instead, if granted"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    report_decision = forms.ChoiceField(
        label=_("Decision that holds instead, if granted"),
        required=False,
        choices=[("", "—"), *Report.Decision.choices],
    )

    def __init__(self, *args: Any, subject: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if subject != Appeal.Subject.AGE:
            del self.fields["birth_date"]
        if subject != Appeal.Subject.REPORT:
            del self.fields["report_decision"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for name in {"birth_date", "report_decision"} & self.fields.keys():
            if data.get("decision") == Appeal.Decision.UPHELD and not data.get(name):
                self.add_error(name, _("Say what holds instead."))
        born = data.get("birth_date")
        if born is not None and born > timezone.localdate():
            self.add_error("birth_date", _("This date lies in the future."))
        return data


@admin.register(Appeal)
class AppealAdmin(TicketAdmin):
    labels: ClassVar[dict[str, Any]] = {**TicketAdmin.labels, "subject": _("About")}
    list_display: Any = (
        "number",
        "lane",
        "subject",
        "state",
        "due_at",
        "escalated_at",
        "open_link",
    )
    list_filter: ClassVar[Any] = ("state", "subject")

    def may_decide(self, staff: User, row: Appeal) -> bool:
        return appeals.may_decide(staff, row)

    def form_for(self, row: Appeal, data: Any) -> forms.Form:
        return AppealDecisionForm(data, subject=row.subject)

    def act(self, request: HttpRequest, staff: User, row: Appeal, data: dict[str, Any]) -> None:
        instead = data.get("report_decision")
        rulings.decide_appeal(
            staff,
            row.pk,
            Appeal.Decision(data["decision"]),
            Appeal.Reason(data["reason"]),
            data["answer"],
            clock.now(),
            birth_date=data.get("birth_date"),
            report_decision=Report.Decision(instead) if instead else None,
        )

    def shown(self, request: HttpRequest, staff: User, row: Appeal) -> dict[str, Any]:
        facts = [
            (_("About"), row.get_subject_display()),
            (_("Id"), row.subject_id),
            (_("Person"), row.person_id),
            *self._judged(row),
            *self._guardian(row),
        ]
        texts: list[tuple[Any, str]] = [(_("What the person says"), opened(lambda: row.open("text")))]
        if row.decision:
            facts += [(_("Decision"), row.outcome), (_("Reason"), row.get_reason_display())]
            texts.append((_("Answer to the person"), opened(lambda: row.open("answer"))))
        return {"facts": facts, "texts": texts}

    def _guardian(self, row: Appeal) -> list[tuple[Any, Any]]:
        """What is known of the link that somebody would like to end."""
        if row.subject != Appeal.Subject.GUARDIAN:
            return []
        others = Guardianship.objects.filter(minor=row.person_id, state=Guardianship.State.ACTIVE)
        link = Guardianship.objects.filter(pk=row.subject_id).first()
        asked = link and link.end_asked_at
        return [
            (
                _("The guardian is told if it ends"),
                gettext("No") if appeals.confidential(row) else gettext("Yes"),
            ),
            (_("Asked to end it"), date_format(asked, "DATETIME_FORMAT") if asked else gettext("No")),
            (_("Other guardians"), others.exclude(pk=row.subject_id).count()),
        ]

    def _judged(self, row: Appeal) -> list[tuple[Any, Any]]:
        """What an objection to a judgement of one's use is about: score and reasons, in figures."""
        judged = rulings.judgement(row)
        if judged is None:
            return []
        sentences = use_words.reasons(judged.reasons, _band(row.person))
        return [(_("Score, of 100"), judged.score), *((_("Reason"), sentence) for sentence in sentences)]


class UseReviewForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("Decision"), choices=UseReview.Decision.choices, widget=forms.RadioSelect
    )


@admin.register(UseReview)
class UseReviewAdmin(TicketAdmin):
    """Signs of dependence: figures and codes. Nobody can open a conversation from here."""

    def may_decide(self, staff: User, row: UseReview) -> bool:
        return use_reviews.may_decide(staff, row)

    def form_for(self, row: UseReview, data: Any) -> forms.Form:
        return UseReviewForm(data)

    def act(self, request: HttpRequest, staff: User, row: UseReview, data: dict[str, Any]) -> None:
        rulings.decide_use(staff, row.pk, UseReview.Decision(data["decision"]), clock.now())

    def shown(self, request: HttpRequest, staff: User, row: UseReview) -> dict[str, Any]:
        young = moderation.is_young(row.person, timezone.now())
        facts = [
            (_("Person"), row.person_id),
            (_("Under 18"), gettext("Yes") if young else gettext("No")),
            (_("Score, of 100"), row.score),
            (_("Version of the signs"), row.version),
            *((_("Reason"), sentence) for sentence in use_words.reasons(row.reasons, _band(row.person))),
        ]
        return {"facts": [*facts, (_("Decision"), row.outcome)] if row.decision else facts, "texts": []}


def _band(person: User) -> str:
    band = effective_band(person, timezone.now())
    return band.engine_band if band else ""


def opened(read: Any) -> str:
    """A sealed text, or a sentence where it does not open any more."""
    try:
        return str(read())
    except keyring.KeyringError:
        return gettext("It cannot be read any more.")
