"""What people may set for themselves."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import generation, local_days
from accounts.models import User

FIELDS = ("nickname", "language", "time_zone", "simple_mode")
# Open chat pages speak and lay themselves out by these.
_POLICY_FIELDS = frozenset({"language", "time_zone", "simple_mode"})


def change(user: User, **values: Any) -> None:
    """Store preferences that differ from the present ones, and tell open pages where it concerns them."""
    if unknown := values.keys() - set(FIELDS):
        raise ValueError(f"not preferences: {sorted(unknown)}")
    with transaction.atomic(durable=True):
        # Locked: of two pages that change the zone, the second must see the first.
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        changed = {name: value for name, value in values.items() if getattr(row, name) != value}
        if not changed:
            return
        if "time_zone" in changed:
            changed |= _from_tomorrow(row)
        User.objects.filter(pk=user.pk).update(**changed)
        if changed.keys() & _POLICY_FIELDS:
            generation.policy_changed(user.pk)
    for name, value in changed.items():
        setattr(user, name, value)


def _from_tomorrow(user: User) -> dict[str, Any]:
    """Limits follow a new zone when the day in which it was registered is over, by the clock that counted until then.

    However often it is changed in a day, that clock stays; otherwise one could travel to where the day is young (T35).
    """
    now = timezone.now()
    if user.previous_zone_until is not None and now < user.previous_zone_until:
        return {}
    _begun, end = local_days.bounds(now, user.time_zone)
    return {
        "previous_zone": user.time_zone,
        "previous_zone_since": user.previous_zone_until,
        "previous_zone_until": end,
    }
