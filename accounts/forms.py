"""Forms of the account pages. They translate input; the rules are in accounts/care.py."""

import datetime as dt
from collections.abc import Collection
from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import dates, timezone
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import audit, simple_mode, time_zones
from accounts.care import (
    AGREEMENT_VERSION,
    CONTACT_RELATIONS,
    GUARDIAN_RELATIONS,
    ContactDetails,
    Relation,
    check_birth_date,
)
from accounts.models import User


class BirthDateWidget(forms.MultiWidget):
    """Three labelled parts instead of a calendar: nobody wants to page back sixty years month by month."""

    template_name = "accounts/widgets/birth_date.html"

    def __init__(self) -> None:
        months = [("", "—"), *((str(number), name) for number, name in dates.MONTHS.items())]
        days = [("", "—"), *((str(day), str(day)) for day in range(1, 32))]
        super().__init__(
            widgets={
                "year": forms.TextInput({"inputmode": "numeric", "autocomplete": "bday-year", "size": 4}),
                "month": forms.Select({"autocomplete": "bday-month"}, choices=months),
                "day": forms.Select({"autocomplete": "bday-day"}, choices=days),
            }
        )

    def decompress(self, value: dt.date | None) -> list[str | None]:
        return [str(value.year), str(value.month), str(value.day)] if value else [None, None, None]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        labels = (gettext("Year"), gettext("Month"), gettext("Day"))
        context["widget"]["parts"] = list(zip(labels, context["widget"]["subwidgets"], strict=True))
        return context


class BirthDateField(forms.Field):
    widget = BirthDateWidget
    default_error_messages = {
        "required": _("Please give your birth date."),
        "incomplete": _("Please give year, month and day."),
        "invalid": _("There is no such date. Please check day and month."),
    }

    def to_python(self, value: list[str] | None) -> dt.date | None:
        parts = [part.strip() for part in value or []]
        if not any(parts):
            return None
        if not all(parts):
            raise forms.ValidationError(self.error_messages["incomplete"], code="incomplete")
        try:
            year, month, day = (int(part) for part in parts)
            date = dt.date(year, month, day)
        except (ValueError, OverflowError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None
        return check_birth_date(date, time_zone=settings.TIME_ZONE, now=timezone.now())


def _agreement_label() -> SafeString:
    return format_html(
        gettext("I accept the {terms} and the {privacy}. I know that every companion is AI: {labels}."),
        terms=_link("terms", gettext("terms of use")),
        privacy=_link("privacy", gettext("privacy notice")),
        labels=_link("labels", gettext("how AI content is marked")),
    )


def _link(name: str, text: str) -> SafeString:
    # A new tab, because the form would be empty on the way back.
    return format_html('<a href="{}" target="_blank" rel="noopener">{}</a>', reverse(name), text)


def agreement_field() -> forms.BooleanField:
    """Unticked: an agreement is an act."""
    return forms.BooleanField(
        label=lazy(_agreement_label, SafeString)(),
        error_messages={"required": _("Please read these and tick the box if you agree.")},
    )


def birth_date_field() -> BirthDateField:
    return BirthDateField(
        label=_("Birth date"),
        help_text=_("It decides how we protect you. Companions are never told the date."),
    )


class SignupForm(AllauthSignupForm):  # type: ignore[misc]
    """E-mail, password, birth date and agreement; what to call somebody is theirs to say or not."""

    birth_date = birth_date_field()
    nickname = forms.CharField(
        label=_("What shall we call you?"),
        help_text=_("Companions will use this name. You may leave it empty."),
        max_length=40,
        required=False,
        widget=forms.TextInput({"autocomplete": "nickname"}),
    )
    # Whoever is under 18 by birth date is in it anyway (guardians/minors_mode.py).
    minors_mode = forms.BooleanField(
        label=_("Use minors' mode"),
        help_text=_("Calmer, with limits on time. It is always on under 18; everybody else may choose it."),
        required=False,
    )
    agreement = agreement_field()
    field_order = ["email", "password1", "birth_date", "nickname", "minors_mode", "agreement"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail address")
        self.fields["password1"].help_text = _("At least 10 characters, and not one that is easy to guess.")
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)

    def clean_nickname(self) -> str:
        return " ".join(self.cleaned_data["nickname"].split())

    def save(self, request: HttpRequest) -> User:
        with transaction.atomic(durable=True):
            user: User = super().save(request)
            if simple_mode.wished_by_visitor(request):
                User.objects.filter(pk=user.pk).update(simple_mode=True)
                user.simple_mode = True
            audit.record("account.created", actor=user.pk, subject=user.pk, agreement=AGREEMENT_VERSION)
            if user.minors_mode:
                audit.record("mode.turned_on", actor=user.pk, subject=user.pk, where="sign_up")
        return user


class AccountForm(forms.Form):
    """What an account lacks that was made elsewhere, or whose agreement is an older one."""

    birth_date = birth_date_field()
    agreement = agreement_field()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self._user = user
        if user.birth_date is not None:
            del self.fields["birth_date"]

    def clean_birth_date(self) -> dt.date:
        date: dt.date = self.cleaned_data["birth_date"]
        return check_birth_date(date, time_zone=self._user.time_zone, now=timezone.now())


class CareForm(forms.Form):
    """A guardian or an emergency contact."""

    QUESTIONS = (("name",), ("relation",), ("phone", "email", "simple_mode"))  # one page each, in large type

    name = forms.CharField(label=_("Name"), max_length=60, widget=forms.TextInput({"autocomplete": "off"}))
    relation = forms.ChoiceField(label=_("Who is this to you?"))
    email = forms.CharField(
        label=_("Their e-mail address"),
        help_text=_("An e-mail address or a telephone number is enough."),
        required=False,
        widget=forms.EmailInput({"autocomplete": "off"}),
    )
    phone = forms.CharField(
        label=_("Their telephone number"),
        required=False,
        max_length=30,
        widget=forms.TextInput({"type": "tel", "autocomplete": "off"}),
    )
    simple_mode = forms.BooleanField(
        label=_("Simple mode: larger type and simpler pages"),
        help_text=_("You can change this at any time in your settings."),
        required=False,
    )

    def __init__(self, *args: Any, user: User, minor: bool, suggest_simple: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        relations: tuple[Relation, ...] = GUARDIAN_RELATIONS if minor else CONTACT_RELATIONS
        relation = self.fields["relation"]
        assert isinstance(relation, forms.ChoiceField)
        relation.choices = [("", "—"), *((item.value, item.label) for item in relations)]
        if suggest_simple:
            self.fields["simple_mode"].initial = True
        else:
            del self.fields["simple_mode"]

    def only(self, names: Collection[str]) -> "CareForm":
        """One question of it, for a page that asks one at a time; what is to choose lies open there."""
        relation = self.fields["relation"]
        assert isinstance(relation, forms.ChoiceField)
        relation.widget = forms.RadioSelect()
        relation.choices = [(item.value, item.label) for item in CONTACT_RELATIONS]
        for name in self.fields.keys() - set(names):
            del self.fields[name]
        return self

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            self.details = ContactDetails(data["name"], data["relation"], data["email"], data["phone"])
            self.details.checked(owner=self._user)
        return data


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["nickname", "language", "time_zone", "simple_mode"]
        labels = {
            "language": _("Language"),
            "time_zone": _("Time zone"),
            "simple_mode": _("Simple mode: larger type and simpler pages"),
        }
        help_texts = {
            "nickname": _("Companions will use this name. You may leave it empty."),
            "time_zone": _("Days and daily limits follow this clock."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each language by its own name: that is what somebody looks for who cannot read the present one.
        names = {"zh-hans": "简体中文", "en": "English"}
        self.fields["language"] = forms.ChoiceField(
            label=_("Language"), choices=[(code, names.get(code, code)) for code, _name in settings.LANGUAGES]
        )
        self.fields["time_zone"] = forms.ChoiceField(
            label=self.fields["time_zone"].label,
            help_text=self.fields["time_zone"].help_text,
            choices=time_zones.choices(self.instance.time_zone, now=timezone.now()),
        )

    def clean_nickname(self) -> str:
        return " ".join(self.cleaned_data["nickname"].split())


class AddKeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """allauth's own, with a label for the name, which it leaves in English."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("What shall this key be called?")


class RenameKeyForm(EditWebAuthnForm):  # type: ignore[misc]
    """Likewise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("What shall this key be called?")
