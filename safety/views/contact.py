"""The pages behind links in notices to guardians and contacts. No login; opening them does nothing."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Final

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import ratelimit
from safety import alert_texts, clock, contact_agreement, contact_answers
from safety.contact_answers import Answer, AnswerError

PER_MINUTE: Final = 30  # requests from one address


View = Callable[[HttpRequest, str], HttpResponse]


def _open_to_a_link(view: View) -> View:
    @never_cache
    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(view)
    def guarded(request: HttpRequest, token: str) -> HttpResponse:
        address = get_adapter().get_client_ip(request)
        if not ratelimit.allow(f"contact:{address}", rate=PER_MINUTE / 60, burst=PER_MINUTE):
            return render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
        return view(request, token)

    return guarded


@_open_to_a_link
def contact(request: HttpRequest, token: str) -> HttpResponse:
    """Only a button answers: programs that check mail open every link."""
    try:
        delivery, reach = contact_answers.notice_of(token)
    except AnswerError as error:
        return _over(request, "alerts/contact.html", error)
    if request.method == "POST":
        said = request.POST.get("answer", "")
        if said not in list(Answer):
            return HttpResponse(status=HTTPStatus.BAD_REQUEST)
        contact_answers.answer(delivery, Answer(said), clock.now())
        return redirect(f"{request.path}?thanks={said}")
    with translation.override(reach.language):
        page = {
            "notice": alert_texts.compose(delivery, reach),
            "thanks": request.GET.get("thanks", ""),
            "token": token,
            "stop": contact_agreement.link(delivery),
        }
        return render(request, "alerts/contact.html", page)


@_open_to_a_link
def agreement(request: HttpRequest, token: str) -> HttpResponse:
    """Who named somebody as contact, why, and their yes or no."""
    try:
        row = contact_agreement.contact_of(token)
    except AnswerError as error:
        return _over(request, "alerts/agreement.html", error)
    if request.method == "POST":
        said = request.POST.get("answer", "")
        if said not in ("yes", "no"):
            return HttpResponse(status=HTTPStatus.BAD_REQUEST)
        contact_agreement.answer(row, yes=said == "yes", now=clock.now())
        return redirect(request.path)
    with translation.override(row.user.language):
        page = {"name": alert_texts.name_of(row.user), "state": row.state, "token": token}
        return render(request, "alerts/agreement.html", page)


def _over(request: HttpRequest, template: str, error: AnswerError) -> HttpResponse:
    status = HTTPStatus.NOT_FOUND if error.code == "forged" else HTTPStatus.GONE
    return render(request, template, {"over": True}, status=status)
