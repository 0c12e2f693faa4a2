"""Addresses of web push, below /push/."""

from django.urls import path

from safety.views import push

urlpatterns = [
    path("", push.subscription, name="push"),
    path("off/", push.off, name="push_off"),
    path("test/", push.test, name="push_test"),
]
