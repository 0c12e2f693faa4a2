"""Token budgets: reserved before the model is called, settled after (threat T34). Crisis replies never come here.

When a person's free tokens of the day are over and they chose so in the shop, the wallet pays (guardians/wallet.py). While
the free ones last, it is not asked and costs no statement.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils import timezone

from guardians import spending, wallet

# A crash may forget the last tokens counted; without a wait for the disk, the row that everybody shares is free at once.
_ADD = """
INSERT INTO companion_tokenbudget (scope, used, expires_at) VALUES (%s, %s, %s), (%s, %s, %s)
ON CONFLICT (scope) DO UPDATE SET used = companion_tokenbudget.used + EXCLUDED.used
RETURNING scope, used, set_config('synchronous_commit', 'off', true)
"""


@dataclass(frozen=True)
class Reservation:
    """Tokens taken for one reply, to be settled once."""

    user_id: uuid.UUID
    tokens: int
    at: dt.datetime
    empty: str = ""  # the code of the budget that has run out; nothing was taken then
    hold: uuid.UUID | None = None  # in the wallet, which pays in place of the person's day


def reserve(user_id: uuid.UUID, tokens: int, now: dt.datetime) -> Reservation:
    """Take `tokens` from the person's day, or from their wallet, and from the deployment's hour.

    One statement of its own, outside any transaction: the deployment's row is locked only while PostgreSQL executes it.
    Both sums are raised first and given back when one is over, so parallel requests cannot pass the cap together.
    """
    used = _add(user_id, tokens, tokens, now)
    user_scope, deployment_scope = _scopes(user_id, now)
    if used[deployment_scope] > settings.TOKENS_PER_DEPLOYMENT_PER_HOUR:
        _add(user_id, -tokens, -tokens, now)
        over = used[user_scope] > settings.TOKENS_PER_USER_PER_DAY
        return Reservation(user_id, tokens, now, "budget_user" if over else "budget_deployment")
    if used[user_scope] <= settings.TOKENS_PER_USER_PER_DAY:
        return Reservation(user_id, tokens, now)
    hold = spending.hold(user_id, tokens, now)
    if hold is None:
        _add(user_id, -tokens, -tokens, now)
        return Reservation(user_id, tokens, now, "budget_user")
    _add(user_id, -tokens, 0, now)
    return Reservation(user_id, tokens, now, hold=hold)


def settle(reserved: Reservation, used: int) -> None:
    """Replace a reservation by what was really used, in the periods in which it was reserved."""
    if reserved.empty:
        return
    change = used - reserved.tokens
    if reserved.hold is not None:
        wallet.settle(reserved.hold, used, timezone.now())
    if change:
        _add(reserved.user_id, 0 if reserved.hold else change, change, reserved.at)


def _scopes(user_id: uuid.UUID, now: dt.datetime) -> tuple[str, str]:
    return f"user:{user_id}:{now:%Y-%m-%d}", f"deployment:{now:%Y-%m-%dT%H}"


def _add(user_id: uuid.UUID, person: int, deployment: int, now: dt.datetime) -> dict[str, int]:
    user_scope, deployment_scope = _scopes(user_id, now)
    expires = now + dt.timedelta(days=2)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [user_scope, person, expires, deployment_scope, deployment, expires])
        return {scope: used for scope, used, _ in cursor.fetchall()}
