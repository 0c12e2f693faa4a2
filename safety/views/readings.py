"""The person's own page: who of the team read what they said, and why."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from safety import clock, reading_history


@login_required
@require_safe
@never_cache
def readings(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    history = reading_history.of(request.user, clock.now())
    return render(request, "safety/readings.html", {"history": history})
