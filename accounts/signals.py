"""What other packages tell us about logins, turned into closed sockets (threat T19)."""

from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from allauth.usersessions.models import UserSession
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import generation, realtime
from accounts.models import User


@receiver(user_logged_out)
def close_sockets_of_this_login(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    key = request.session.session_key
    if user is not None and key:
        transaction.on_commit(lambda: realtime.close_session(key, user.pk))


@receiver(post_delete, sender=UserSession)
def close_sockets_of_ended_session(sender: Any, instance: UserSession, **kwargs: Any) -> None:
    """However a login session ends: from the list of sessions, by revocation, or purged after it ran out."""
    key, user_id = instance.session_key, instance.user_id
    transaction.on_commit(lambda: realtime.close_session(key, user_id))


@receiver((password_changed, password_set, password_reset))
def end_sessions_after_new_password(sender: Any, user: User, **kwargs: Any) -> None:
    generation.revoke_sessions(user, actor=user.pk, reason="password")
