"""Forms of reports, complaints and appeals."""

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
