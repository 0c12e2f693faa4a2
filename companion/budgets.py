"""Token budgets: reserved before the model is called, settled after (threat T34). Crisis replies never come here."""

import datetime as dt
import uuid

from django.conf import settings
from django.db import connection

# A crash may forget the last tokens counted; without a wait for the disk, the row that everybody shares is free at once.
_ADD = """
INSERT INTO companion_tokenbudget (scope, used, expires_at) VALUES (%s, %s, %s), (%s, %s, %s)
ON CONFLICT (scope) DO UPDATE SET used = companion_tokenbudget.used + EXCLUDED.used
RETURNING scope, used, set_config('synchronous_commit', 'off', true)
"""


def reserve(user_id: uuid.UUID, tokens: int, now: dt.datetime) -> str:
    """Take `tokens` from the person's day and the deployment's hour. Returns "" or the code of the empty budget.

    One statement of its own, outside any transaction: the deployment's row is locked only while PostgreSQL executes it.
    Both sums are raised first and given back when one is over, so parallel requests cannot pass the cap together.
    """
    used = _add(user_id, tokens, now)
    user_scope, deployment_scope = _scopes(user_id, now)
    code = ""
    if used[user_scope] > settings.TOKENS_PER_USER_PER_DAY:
        code = "budget_user"
    elif used[deployment_scope] > settings.TOKENS_PER_DEPLOYMENT_PER_HOUR:
        code = "budget_deployment"
    if code:
        _add(user_id, -tokens, now)
    return code


def settle(user_id: uuid.UUID, reserved: int, used: int, reserved_at: dt.datetime) -> None:
    """Replace a reservation by what was really used, in the periods in which it was reserved."""
    if used != reserved:
        _add(user_id, used - reserved, reserved_at)


def _scopes(user_id: uuid.UUID, now: dt.datetime) -> tuple[str, str]:
    return f"user:{user_id}:{now:%Y-%m-%d}", f"deployment:{now:%Y-%m-%dT%H}"


def _add(user_id: uuid.UUID, tokens: int, now: dt.datetime) -> dict[str, int]:
    user_scope, deployment_scope = _scopes(user_id, now)
    expires = now + dt.timedelta(days=2)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [user_scope, tokens, expires, deployment_scope, tokens, expires])
        return {scope: used for scope, used, _ in cursor.fetchall()}
