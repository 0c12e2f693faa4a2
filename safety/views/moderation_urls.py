"""Addresses of reports, complaints, appeals and measures. Names are stable."""

from django.urls import path

from safety.views import moderation

urlpatterns = [
    path("reports/", moderation.tickets, name="tickets"),
    path("reports/new/", moderation.report_new, name="report_new"),
    path("complaints/", moderation.complaints_page, name="complaints"),
    path("complaints/new/", moderation.complaint_new, name="complaint_new"),
    path("complaints/find/", moderation.complaint_find, name="complaint_find"),
    path("complaints/<str:ticket>/", moderation.complaint, name="complaint"),
    path("appeals/new/", moderation.appeal_new, name="appeal_new"),
    path("measures/", moderation.measures, name="measures"),
]
