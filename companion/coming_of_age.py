"""Who is 18 has no guardians any more: the links end by themselves, and both sides are told."""

import datetime as dt
import logging
import smtplib

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from accounts.models import User
from guardians import endings
from safety import care_notices
from safety.models import CareNotice

log = logging.getLogger(__name__)


def end_all(now: dt.datetime) -> int:
    """How many people had guardians until now. Rights are read as of age even before this ran (guardians/access.py)."""
    people = endings.grown_up(now)
    for user in people:
        with transaction.atomic(durable=True):
            ended = endings.come_of_age(user.pk, now)
            if ended:
                whom = [f"guardian:{link.guardian_id}" for link in ended]
                about = f"guardianship:{ended[0].pk}"
                care_notices.tell(CareNotice.Kind.GUARDIANS, user, about, whom, now, change="of_age")
        if ended:
            _tell(user)
    return len(people)


def _tell(user: User) -> None:
    """The person, by mail. Their pages say it as well: an adult names an emergency contact."""
    with translation.override(user.language):
        subject = gettext("Anban: nobody looks after your account any more")
        lines = [
            gettext(
                "You are an adult now. Your guardians see nothing of your account from here on, and were told so."
            ),
            gettext("Please name somebody we may reach if you are in danger: %(url)s")
            % {"url": f"{settings.SITE_URL}{reverse('care')}"},
        ]
    try:
        send_mail(subject, "\n\n".join(lines) + "\n", None, [user.email])
    except (smtplib.SMTPException, OSError) as error:
        log.error("a mail about coming of age was not sent: %s", type(error).__name__)
