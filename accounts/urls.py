"""Included at /accounts/."""

from django.urls import include, path

from accounts import views
from safety.views import readings

urlpatterns = [
    path("next/", views.next_step, name="account_next"),
    path("care/", views.care, name="care"),
    path("contacts/<uuid:pk>/unsafe/", views.contact_unsafe, name="contact_unsafe"),
    path("settings/", views.settings_page, name="settings"),
    path("readings/", readings.readings, name="readings"),
    path("", include("allauth.urls")),
]
