"""Forms of reports, complaints and appeals."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from safety import appeals, complaints, moderation
from safety.models import Complaint, Report


class ReportForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("What is wrong?"), choices=Report.Reason.choices, widget=forms.RadioSelect
    )
    comment = forms.CharField(
        label=_("Would you like to add something?"),
        help_text=_("You need not. Only the people who decide about it read this."),
        required=False,
        max_length=moderation.MAX_COMMENT,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


class ComplaintForm(forms.Form):
    category = forms.ChoiceField(
        label=_("What is it about?"), choices=Complaint.Category.choices, widget=forms.RadioSelect
    )
    text = forms.CharField(
        label=_("What happened?"),
        help_text=_("You need not say who you are. What you write is stored encrypted."),
        max_length=complaints.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_(
            "Only if you would like to be told when there is an answer. It is used for nothing else."
        ),
        required=False,
    )


class AppealForm(forms.Form):
    text = forms.CharField(
        label=_("Why should it be decided otherwise?"),
        help_text=_("In your own words. Somebody who has not decided about it before reads it."),
        max_length=appeals.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 8}),
    )


class GuardianAppealForm(AppealForm):
    """A minor asks a human whether somebody should look after them any longer."""

    unsafe = forms.BooleanField(
        label=_("I do not feel safe with this person, or they must not learn of this."),
        help_text=_(
            "Then only the person of our team who is responsible for protection reads it, within a day, and your guardian "
            "is told nothing. If you are in danger now, call a help line."
        ),
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].label = _("Why should this person no longer look after your account?")
        self.fields["text"].help_text = _("In your own words. A person of our team reads it and answers.")
