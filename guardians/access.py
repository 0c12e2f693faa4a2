"""Who may see whom. The only door to guardianship rights, so that refining them changes one module."""

from django.db.models import QuerySet

from accounts.models import User
from guardians.models import Guardianship


def guardians_of(user: User) -> QuerySet[User]:
    """The people whose guardianship of this person is in force."""
    return User.objects.filter(wards__minor=user, wards__state=Guardianship.State.ACTIVE)


def wards_of(user: User) -> QuerySet[User]:
    """The minors whose guardian this person is."""
    return User.objects.filter(guardianships__guardian=user, guardianships__state=Guardianship.State.ACTIVE)
