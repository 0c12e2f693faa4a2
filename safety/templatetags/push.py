"""What templates/components/push.html needs to know."""

from typing import Any

from django import template
from django.utils.crypto import salted_hmac

from accounts.models import User
from safety.channels import push

register = template.Library()


@register.simple_tag(takes_context=True)
def push_setup(context: dict[str, Any]) -> dict[str, str]:
    """`person` tells the people who share a browser apart, and nobody anything else."""
    user = context["request"].user
    person = salted_hmac("push.person", str(user.pk)).hexdigest()[:16] if isinstance(user, User) else ""
    return {"key": push.public_key(), "person": person}
