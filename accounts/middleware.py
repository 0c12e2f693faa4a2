"""The reader's language and time zone, before anything is rendered."""

import zoneinfo

from django.conf import settings
from django.contrib.auth.middleware import get_user
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware as DjangoLocaleMiddleware
from django.utils import timezone, translation

from accounts.models import User


class LocaleMiddleware(DjangoLocaleMiddleware):
    """The person's own settings; for visitors the cookie, then Accept-Language, then Chinese.

    Stands before AuthenticationMiddleware (error pages of the middleware between speak the right language
    too), so it asks for the user itself; Django keeps the answer on the request and nobody asks twice.
    """

    def process_request(self, request: HttpRequest) -> None:
        user = get_user(request)
        if isinstance(user, User):
            translation.activate(user.language)
            timezone.activate(_zone(user.time_zone))
        else:
            translation.activate(translation.get_language_from_request(request))
            timezone.deactivate()
        request.LANGUAGE_CODE = translation.get_language() or settings.LANGUAGE_CODE


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (
        zoneinfo.ZoneInfoNotFoundError,
        ValueError,
    ):  # the zone data of this machine may be older than the row
        return zoneinfo.ZoneInfo(settings.TIME_ZONE)
