"""What people may set for themselves."""

from typing import Any

from django.db import transaction

from accounts import generation
from accounts.models import User

FIELDS = ("nickname", "language", "time_zone", "simple_mode")
# Open chat pages speak and lay themselves out by these.
_POLICY_FIELDS = frozenset({"language", "time_zone", "simple_mode"})


def change(user: User, **values: Any) -> None:
    """Store preferences that differ from the present ones, and tell open pages where it concerns them."""
    changed = {name: value for name, value in values.items() if getattr(user, name) != value}
    if unknown := changed.keys() - set(FIELDS):
        raise ValueError(f"not preferences: {sorted(unknown)}")
    if not changed:
        return
    with transaction.atomic(durable=True):
        User.objects.filter(pk=user.pk).update(**changed)
        if changed.keys() & _POLICY_FIELDS:
            generation.policy_changed(user.pk)
    for name, value in changed.items():
        setattr(user, name, value)
