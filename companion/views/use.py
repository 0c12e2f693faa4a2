"""Your use: how much time was spent here, and what it says."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@login_required
@require_GET
def use(request: HttpRequest) -> HttpResponse:
    return render(request, "companion/use.html")
