"""What moderators do. Every act is a POST, one function below, and answers with a sentence."""

import uuid
from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from companion import takeover
from safety import canned, case_work, cases, clock, readings, wording
from safety.cases import CaseError
from safety.models import CrisisCase, StaffSession
from safety.readings import Refused
from safety.views import console_words as words
from safety.views.console import render_case
from safety.views.console_door import door, find

Act = Callable[[HttpRequest, User, CrisisCase], None]
SHOWN_MOST: Final = 200  # cases that one page can report as shown


def _open(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    readings.open_for_case(case, staff, clock.now())


def _acknowledge(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    cases.acknowledge(case.pk, staff, clock.now())


def _claim(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    takeover.claim(case.pk, staff, clock.now())
    readings.open_for_case(case, staff, clock.now())


def _note(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    case_work.note(case.pk, staff, request.POST.get("text", ""), clock.now())


def _tell(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    if not cases.tell_contact_now(case.pk, staff, request.POST.get("recipient", ""), clock.now()):
        raise CaseError("no_channel")


def _withhold(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    reason = request.POST.get("reason", "")
    if reason not in words.WITHHOLD:
        raise CaseError("reason")
    cases.withhold_contact(case.pk, staff, clock.now(), reason=reason)


def _check(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    """The button's value is "<step> <item>"."""
    step, _space, item = request.POST.get("check", "").partition(" ")
    case_work.check(case.pk, staff, item, step, clock.now())


def _transfer(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    try:
        colleague = User.objects.get(pk=uuid.UUID(request.POST.get("to", "")))
    except (ValueError, User.DoesNotExist):
        raise CaseError("away") from None
    takeover.transfer(case.pk, staff, colleague, clock.now())


def _hand_back(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    takeover.hand_back(case.pk, staff, request.POST.get("note", ""), clock.now())


def _close(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    reason, outcome = request.POST.get("reason", ""), request.POST.get("outcome", "")
    _has_read(staff, case)
    if reason not in CrisisCase.CloseReason or outcome not in CrisisCase.Outcome:
        raise CaseError("reason")
    takeover.close(
        case.pk,
        staff,
        clock.now(),
        reason=CrisisCase.CloseReason(reason),
        outcome=CrisisCase.Outcome(outcome),
        note=request.POST.get("note", ""),
    )


def _second_look(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    if staff.pk != case.closed_by_id:
        _has_read(staff, case)
    cases.second_look(case.pk, staff, clock.now())


def _follow_up(request: HttpRequest, staff: User, case: CrisisCase) -> None:
    takeover.follow_up(case.pk, staff, clock.now())


def _has_read(staff: User, case: CrisisCase) -> None:
    """Nobody judges what they did not read."""
    if not StaffSession.objects.filter(case=case, staff=staff).exists():
        raise CaseError("unread")


ACTS: Final[dict[str, tuple[Act, Promise | str]]] = {
    "open": (_open, ""),
    "acknowledge": (_acknowledge, gettext_lazy("Noted. Take it over or close it within ten minutes.")),
    "claim": (
        _claim,
        gettext_lazy("You have this case. The companion is silent; the person sees your name."),
    ),
    "note": (_note, gettext_lazy("The note is kept.")),
    "tell": (_tell, gettext_lazy("They are being told now.")),
    "withhold": (_withhold, gettext_lazy("Your decision is recorded.")),
    "check": (_check, ""),
    "transfer": (_transfer, gettext_lazy("Your colleague has this case now.")),
    "hand-back": (
        _hand_back,
        gettext_lazy("The companion may answer again. Close the case when all is done."),
    ),
    "close": (_close, gettext_lazy("The case is closed.")),
    "second-look": (_second_look, gettext_lazy("Your look is recorded.")),
    "follow-up": (_follow_up, gettext_lazy("The person was asked how they are.")),
}


@door("POST")
def act(request: HttpRequest, staff: User, pk: int, name: str) -> HttpResponse:
    """One act on one case, then the page it came from."""
    if name not in ACTS:
        raise Http404
    function, done = ACTS[name]
    case = find(pk, staff)
    case_work.present(staff, clock.now())
    try:
        function(request, staff, case)
    except (CaseError, Refused) as error:
        messages.warning(request, words.refusal(error.code))
    else:
        if done:
            messages.success(request, str(done))
    back = request.POST.get("back") == "queue" and name not in ("claim", "open")
    return redirect("console") if back else redirect("console_case", pk)


@door("POST")
def elsewhere(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """Read another conversation of the person that had a sign of this case; noted like the first one."""
    case, now = find(pk, staff), clock.now()
    case_work.present(staff, now)
    try:
        wanted = uuid.UUID(request.POST.get("conversation", ""))
        session = readings.open_for_case(case, staff, now, conversation=wanted)
    except ValueError:
        raise Http404 from None
    except Refused as refused:
        messages.warning(request, words.refusal(refused.code))
        return redirect("console_case", pk)
    return redirect("staff_reading", session.pk)


@door("POST")
def say(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """A message to the person. What safe messaging advises against is shown first and sent only when sent again.

    The page's script gets JSON, a plain form the page itself with the text still in it.
    """
    case = find(pk, staff)
    text, now = request.POST.get("text", "").strip(), clock.now()
    case_work.present(staff, now)
    findings: list[str] = []
    try:
        client_id = uuid.UUID(request.POST.get("id", ""))
    except ValueError:
        client_id = None
    try:
        if canned.unfilled(text):
            raise CaseError("blank")
        if "anyway" not in request.POST:
            # By the rules of both languages: humans write whichever the person understands.
            found = dict.fromkeys([*wording.lint(text, "zh"), *wording.lint(text, "en")])
            findings = [words.finding(code) for code in found]
        if not findings:
            takeover.say(pk, staff, text, client_id, now)
            readings.open_for_case(case, staff, now)
            return _said(request, pk)
        problem = _("Please read it once more before you send it.")
    except (CaseError, Refused) as error:
        problem = words.refusal(error.code)
    if _by_script(request):
        return JsonResponse({"problem": problem, "findings": findings}, status=409)
    messages.warning(request, problem)
    return render_case(request, staff, case, draft=text, findings=findings, status=409)


@door("POST")
def beat(request: HttpRequest, staff: User) -> HttpResponse:
    """What a page reports: which cases it shows, and whether a human moved at it in the last minute."""
    now = clock.now()
    if request.POST.get("active") == "1":
        case_work.present(staff, now)
    shown = [int(pk) for pk in request.POST.get("cases", "").split(",") if pk.isdecimal() and len(pk) < 18]
    case_work.noticed(staff, shown[:SHOWN_MOST], now)
    return HttpResponse(status=204)


@door("POST")
def acknowledge_alert(request: HttpRequest, staff: User, pk: int) -> HttpResponse:
    """An operator has seen what is wrong with the service."""
    try:
        case_work.acknowledge_alert(pk, staff, clock.now())
    except CaseError as error:
        messages.warning(request, words.refusal(error.code))
    return redirect("console")


def _said(request: HttpRequest, pk: int) -> HttpResponse:
    if _by_script(request):
        return JsonResponse({"id": str(uuid.uuid4())})  # of the next message
    return redirect("console_case", pk)


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "fetch"
