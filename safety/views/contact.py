"""The page behind the link in a notice to a guardian or contact. No login; opening it does nothing."""

from http import HTTPStatus
from typing import Final

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import ratelimit
from safety import alert_texts, clock, contact_answers
from safety.contact_answers import Answer, AnswerError

PER_MINUTE: Final = 30  # requests from one address


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contact(request: HttpRequest, token: str) -> HttpResponse:
    """Only a button answers: programs that check mail open every link."""
    address = get_adapter().get_client_ip(request)
    if not ratelimit.allow(f"contact:{address}", rate=PER_MINUTE / 60, burst=PER_MINUTE):
        return render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    try:
        delivery, reach = contact_answers.notice_of(token)
    except AnswerError as error:
        status = HTTPStatus.NOT_FOUND if error.code == "forged" else HTTPStatus.GONE
        return render(request, "alerts/contact.html", {"over": True}, status=status)
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
        }
        return render(request, "alerts/contact.html", page)
