"""Included at /guardians/."""

from django.urls import path

from guardians.views import contacts, mode, panel, requests, roles, settings, spending
from guardians.views import invitations as views

urlpatterns = [
    path("", views.wards, name="wards"),
    path("invite/mail/", views.invite_by_mail, name="guardian_mail"),
    path("invite/code/", views.invite_by_code, name="guardian_code"),
    path("invitation/", views.answer, name="invitation"),
    path("invitation/<str:token>/", views.enter, name="invitation_enter"),
    path("time/", requests.ask, name="time_ask"),
    path("requests/<uuid:pk>/", requests.answer, name="time_request"),
    path("<uuid:minor_id>/settings/", settings.page, name="minor_settings"),
    path("<uuid:minor_id>/settings/time/", settings.set_time, name="minor_time"),
    path("<uuid:minor_id>/settings/companions/", settings.set_companions, name="minor_companions"),
    path("<uuid:minor_id>/settings/features/", settings.set_features, name="minor_features"),
    path("mine/", panel.mine, name="panel_mine"),
    path("<uuid:minor_id>/", panel.panel, name="panel"),
    path("<uuid:minor_id>/part/<slug:name>/", panel.part, name="panel_part"),
    path("<uuid:minor_id>/history/", panel.history, name="panel_history"),
    path("contacts/", contacts.page, name="contacts"),
    path("contacts/new/", contacts.edit, name="contact_new"),
    path("contacts/<uuid:pk>/", contacts.edit, name="contact_change"),
    path("contacts/<uuid:pk>/ask/", contacts.ask, name="contact_ask"),
    path("contacts/<uuid:pk>/test/", contacts.test, name="contact_test"),
    path("minors-mode/", mode.page, name="minors_mode"),
    path("minors-mode/on/", mode.turn_on, name="mode_on"),
    path("minors-mode/leave/", mode.leave, name="mode_leave"),
    path("minors-mode/say/", mode.say, name="mode_say"),
    path("<uuid:pk>/confirm/", views.confirm, name="guardian_confirm"),
    path("<uuid:pk>/consent/", views.consent, name="guardian_consent"),
    path("<uuid:minor_id>/another/", roles.name, name="guardian_name"),
    path("<uuid:pk>/invite/mail/", views.invite_by_mail, name="guardian_other_mail"),
    path("<uuid:pk>/invite/code/", views.invite_by_code, name="guardian_other_code"),
    path("<uuid:pk>/role/", roles.change, name="guardian_role"),
    path("<uuid:pk>/end/", roles.end, name="guardian_end"),
    path("<uuid:pk>/end/ask/", roles.ask_to_end, name="guardian_end_ask"),
    path("<uuid:pk>/end/answer/", roles.answer_end, name="guardian_end_answer"),
    path("<uuid:minor_id>/spending/", spending.budget, name="guardian_budget"),
    path("<uuid:minor_id>/spending/<uuid:pk>/refund/", spending.ask_refund, name="guardian_refund"),
]
