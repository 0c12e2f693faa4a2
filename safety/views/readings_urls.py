"""Addresses of the staff's readings, below /admin/readings/."""

from django.urls import path

from safety.views import readings_staff

urlpatterns = [
    path("", readings_staff.index, name="staff_readings"),
    path("ask/", readings_staff.ask, name="staff_reading_ask"),
    path("<uuid:pk>/", readings_staff.reading, name="staff_reading"),
    path("<uuid:pk>/approve/", readings_staff.approve, name="staff_reading_approve"),
    path("<uuid:pk>/review/", readings_staff.review, name="staff_reading_review"),
]
