"""Forms with which guardians are named."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import CareForm
from accounts.models import User
from guardians.access import Role


class NameForm(CareForm):
    """A guardian names another one for the same minor."""

    role = forms.ChoiceField(
        label=_("What may they do?"),
        help_text=_(
            "You can change it later. Somebody who may do everything is your equal: you cannot take it back."
        ),
        choices=Role.choices,
        initial=Role.VIEW,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, minor: User, **kwargs: Any) -> None:
        super().__init__(*args, user=minor, minor=True, suggest_simple=False, **kwargs)
        self.fields["relation"].label = _("Who is this to them?")
