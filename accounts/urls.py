"""Included at /accounts/."""

from django.urls import include, path

from accounts import views

urlpatterns = [
    path("next/", views.next_step, name="account_next"),
    path("care/", views.care, name="care"),
    path("settings/", views.settings_page, name="settings"),
    path("", include("allauth.urls")),
]
