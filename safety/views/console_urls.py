"""Addresses of the console, below /admin/crisis/."""

from django.urls import path

from safety.views import console, console_acts

urlpatterns = [
    path("", console.queue, name="console"),
    path("live/", console.live, name="console_live"),
    path("beat/", console_acts.beat, name="console_beat"),
    path("alerts/<int:pk>/acknowledge/", console_acts.acknowledge_alert, name="console_alert"),
    path("<int:pk>/", console.case_page, name="console_case"),
    path("<int:pk>/window/", console.window, name="console_window"),
    path("<int:pk>/facts/", console.facts, name="console_facts"),
    path("<int:pk>/say/", console_acts.say, name="console_say"),
    path("<int:pk>/elsewhere/", console_acts.elsewhere, name="console_elsewhere"),
    path("<int:pk>/<slug:name>/", console_acts.act, name="console_act"),
]
