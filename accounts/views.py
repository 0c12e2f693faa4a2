"""Account pages that allauth does not have: what is still needed, and settings."""

import uuid
from dataclasses import asdict
from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import set_language as django_set_language

from accounts import care as account_care
from accounts import keyring, preferences
from accounts.age import AgeBand
from accounts.care import ContactDetails
from accounts.forms import AccountForm, CareForm, SettingsForm
from accounts.models import User
from accounts.staff import has_second_step
from guardians import contacts, links
from guardians.limits import effective_policy, needs_guardian
from guardians.models import EmergencyContact, Guardianship
from guardians.views import contacts as contact_pages
from guardians.views import looked_after
from safety import cases, contact_agreement


@login_required
@require_safe
def next_step(request: HttpRequest) -> HttpResponse:
    """Where a login leads: to what the account still lacks, else to the companions."""
    policy = effective_policy(_user(request), timezone.now())
    return redirect("care" if policy.missing else settings.LOGIN_REDIRECT_URL)


@login_required
@require_http_methods(["GET", "POST"])
def care(request: HttpRequest) -> HttpResponse:
    """The second step of sign-up, and later the page to change what was given there."""
    user, now = _user(request), timezone.now()
    policy = effective_policy(user, now)
    if policy.missing in ("birth_date", "agreement"):
        return _complete_account(request, user)
    return looked_after.page(request, user) if needs_guardian(user, now) else _contact(request, user)


def _complete_account(request: HttpRequest, user: User) -> HttpResponse:
    form = AccountForm(request.POST or None, user=user)
    if form.is_valid():
        account_care.complete_account(
            user, birth_date=form.cleaned_data.get("birth_date"), now=timezone.now()
        )
        return redirect("care")
    return render(request, "accounts/care.html", {"form": form, "step": "account"})


def _contact(request: HttpRequest, user: User) -> HttpResponse:
    named = contacts.of(user)
    present = next(iter(contacts.usable(named)), None)
    details = _open(present) if present else None
    suggest_simple = user.age_band is AgeBand.ELDER and not user.simple_mode
    large = suggest_simple or user.simple_mode
    form = CareForm(
        request.POST or None,
        user=user,
        minor=False,
        suggest_simple=suggest_simple,
        initial=asdict(details) if details else {},
    )
    if large and (question := _next_question(request, form, details)):
        return question
    if form.is_valid():
        now = timezone.now()
        try:
            contact_agreement.give(user, form.details, now=now, instead_of=present)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            if form.cleaned_data.get("simple_mode"):
                preferences.change(user, simple_mode=True)
            messages.success(request, _("Your emergency contact is saved."))
            return redirect("settings" if present else "account_next")
    return render(
        request,
        "accounts/care.html",
        {"form": form, "step": "contact", "details": details, "refused": contacts.who_refused(named)},
    )


def _next_question(
    request: HttpRequest, form: CareForm, details: ContactDetails | None
) -> HttpResponse | None:
    """Large type, one question a page; answers travel along as hidden fields. None: all of them are given and good.

    Older people see it before they choose anything: they are led by large type (final article 15).
    """
    given = request.POST.get("step", str(len(CareForm.QUESTIONS)) if request.POST else "")
    at = min(int(given), len(CareForm.QUESTIONS)) if given.isdecimal() else 0  # how many were answered
    known = {name: field for name in form.fields if (field := request.POST.get(name)) is not None}
    wrong = next(
        (i for i, names in enumerate(CareForm.QUESTIONS[:at]) if form.errors.keys() & set(names)), None
    )
    shown = max(at - 2, 0) if "back" in request.POST else at if wrong is None else wrong
    if shown == len(CareForm.QUESTIONS):
        return None
    names = CareForm.QUESTIONS[shown]
    if shown != wrong:  # not asked yet, or asked again: no reproach
        values = {**form.initial, **known}
        form = CareForm(
            None,
            user=_user(request),
            minor=False,
            suggest_simple="simple_mode" in form.fields,
            initial=values,
        )
    context = {
        "form": form.only(names),
        "kept": [(name, value) for name, value in known.items() if name not in names],
        "details": details,
        "refused": contacts.who_refused(contacts.of(_user(request))),
        "step_number": shown + 1,
        "step_total": len(CareForm.QUESTIONS),
        "simple_mode": True,
    }
    return render(request, "simple/contact.html", context)


@login_required
@require_POST
def contact_unsafe(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The person's own contact is out of every notice from this moment on, also of a case that is open."""
    user, now = _user(request), timezone.now()
    contact = get_object_or_404(EmergencyContact, pk=pk, user=user)
    with transaction.atomic(durable=True):
        cases.contact_unsafe(f"contact:{contact.pk}", now)
        contacts.mark_unsafe(contact, actor=user.pk)
    messages.success(
        request, _("This person will not be told anything. Please name somebody else you trust.")
    )
    return redirect("settings")


@login_required
@require_http_methods(["GET", "POST"])
def settings_page(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    form = SettingsForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        # The form has already written into its instance; the stored values decide what has changed.
        preferences.change(User.objects.get(pk=user.pk), **form.cleaned_data)
        with translation.override(form.cleaned_data["language"]):
            messages.success(request, _("Your settings are saved."))
        response = redirect("settings")
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, form.cleaned_data["language"], max_age=365 * 24 * 3600
        )
        return response
    minor = needs_guardian(user, timezone.now())
    link = links.current(user) if minor else None
    return render(
        request,
        "accounts/settings.html",
        {
            "form": form,
            "is_minor": minor,
            "guardian": _open(link) if link else None,
            "guardian_active": link is not None and link.state == Guardianship.State.ACTIVE,
            "staff_second_step": user.is_staff and has_second_step(user),
            **({} if minor else contact_pages.context(user, timezone.now())),
        },
    )


def set_language(request: HttpRequest) -> HttpResponseBase:
    """Django's view, which sets the cookie; who is logged in finds the choice on other devices too."""
    response = django_set_language(request)
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User) and chosen in dict(settings.LANGUAGES):
        preferences.change(request.user, language=chosen)
    return response


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # behind login_required


def _open(row: Guardianship | EmergencyContact) -> ContactDetails | None:
    """None when the text does not open any more: the page then asks for it again instead of failing."""
    try:
        return links.open_details(row) if isinstance(row, Guardianship) else contacts.open_details(row)
    except keyring.KeyringError:
        return None
