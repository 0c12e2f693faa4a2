"""Rights of guardians, as django-guardian keeps them: one row for each right of a guardian in a link."""

from django.db import models
from guardian.models import UserObjectPermissionBase

from guardians.models.people import Guardianship


class GuardianRight(UserObjectPermissionBase):
    """A right in one link. Goes with the link; given, asked and taken by guardians/access.py only."""

    content_object = models.ForeignKey(Guardianship, models.CASCADE)
