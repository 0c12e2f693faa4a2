"""Included at /guardians/."""

from django.urls import path

from guardians.views import invitations as views

urlpatterns = [
    path("", views.wards, name="wards"),
    path("invite/mail/", views.invite_by_mail, name="guardian_mail"),
    path("invite/code/", views.invite_by_code, name="guardian_code"),
    path("invitation/", views.answer, name="invitation"),
    path("invitation/<str:token>/", views.enter, name="invitation_enter"),
    path("<uuid:pk>/confirm/", views.confirm, name="guardian_confirm"),
    path("<uuid:pk>/consent/", views.consent, name="guardian_consent"),
]
