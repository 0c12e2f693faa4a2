"""Web push for whoever is signed in: the worker's script, and the browser that turns notifications on, off or tries them.

A subscription belongs to the login of the request. Answers are JSON; what was refused comes with a sentence.
"""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import ratelimit
from accounts.models import User
from guardians import access
from safety.channels import Permanent, Temporary, push
from safety.models import PushSubscription
from safety.recipients import STAFF

LONGEST: Final = 4096  # bytes of a request
PER_MINUTE: Final = 20  # requests of one person that change something
TESTS: Final = 3  # at once, then one each 20 s
_WORKER: Final = Path(settings.BASE_DIR) / "static" / "js" / "sw.js"

REFUSALS: Final[dict[str, tuple[int, Promise]]] = {
    "signed_out": (403, gettext_lazy("You are signed out. Sign in again.")),
    "shape": (
        400,
        gettext_lazy("This browser sent something we cannot use. Load the page again and try once more."),
    ),
    "address": (
        400,
        gettext_lazy("We cannot send to the address that this browser gave us. Try another browser."),
    ),
    "taken": (409, gettext_lazy("Somebody else had turned this on in this browser. Turn it on once more.")),
    "unknown": (409, gettext_lazy("Notifications are off on this device. Turn them on first.")),
    "too_many": (429, gettext_lazy("That was a lot at once. Please wait a minute and try again.")),
    "unset": (503, gettext_lazy("Notifications are not set up for this site. The operator can do that.")),
    "unsent": (
        502,
        gettext_lazy("The browser's push service did not take it. Turn notifications off and on again."),
    ),
    "later": (503, gettext_lazy("The browser's push service does not answer. Try again in a minute.")),
}

Act = Callable[[HttpRequest, UserSession], HttpResponse]


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """From the root, because a worker looks after the pages below its own address."""
    response = HttpResponse(_WORKER.read_bytes(), content_type="text/javascript; charset=utf-8")
    response["Service-Worker-Allowed"] = "/"
    response["Cache-Control"] = "no-cache"
    return response


def _signed_in(view: Act) -> Callable[[HttpRequest], HttpResponse]:
    """The login of the request, else a sentence instead of the login page: a program asks."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        login = _login(request)
        if login is None:
            return _refused("signed_out")
        if request.method == "POST":
            if len(request.body) > LONGEST:
                return _refused("shape")
            if not ratelimit.allow(f"push:{login.user_id}", rate=PER_MINUTE / 60, burst=PER_MINUTE):
                return _refused("too_many")
        return view(request, login)

    return guarded


@require_http_methods(["GET", "HEAD", "POST"])
@_signed_in
def subscription(request: HttpRequest, login: UserSession) -> HttpResponse:
    """GET: what the worker needs when the browser changes its address by itself. POST: what PushManager gave."""
    if request.method != "POST":
        return JsonResponse({"key": push.public_key(), "token": get_token(request)})
    if not settings.VAPID_PRIVATE_KEY:
        return _refused("unset")
    content = _json(request)
    try:
        push.subscribe(login, content, renewing=content.get("renewing") is True)
    except push.Refused as refusal:
        return _refused(refusal.code)
    return HttpResponse(status=204)


@require_POST
@_signed_in
def off(request: HttpRequest, login: UserSession) -> HttpResponse:
    """This browser, and never one that the request names."""
    push.unsubscribe(login)
    return HttpResponse(status=204)


@require_POST
@_signed_in
def test(request: HttpRequest, login: UserSession) -> HttpResponse:
    """The way that a real notice takes, to this browser alone."""
    row = PushSubscription.objects.filter(login=login, user=login.user).first()
    if not settings.VAPID_PRIVATE_KEY:
        return _refused("unset")
    if row is None:
        return _refused("unknown")
    if not ratelimit.allow(f"push-test:{login.user_id}", rate=1 / 20, burst=TESTS):
        return _refused("too_many")
    url = reverse(_page_of(login.user))
    try:
        push.wake(
            row, title=_("Anban: a test"), body=_("Notices arrive on this device."), url=url, tag="test"
        )
    except Permanent:
        return _refused("unsent")
    except Temporary:
        return _refused("later")
    return JsonResponse({"said": _("A test is on its way. It shows within a few seconds.")})


def _page_of(user: User) -> str:
    """Where somebody reads what they are notified of."""
    if user.role in STAFF:
        return "console"
    return "wards" if access.wards_of(user).exists() else "home"


def _login(request: HttpRequest) -> UserSession | None:
    user, key = request.user, request.session.session_key
    if not isinstance(user, User) or not key:
        return None
    rows = UserSession.objects.select_related("user")
    found: UserSession | None = rows.filter(session_key=key, user=user).first()
    return found


def _json(request: HttpRequest) -> dict[str, Any]:
    """{} for whatever is none."""
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _refused(code: str) -> HttpResponse:
    status, words = REFUSALS[code]
    return JsonResponse({"problem": str(words), "code": code}, status=status)
