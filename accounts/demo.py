"""Demonstration accounts are known by their address; production refuses them wherever they turn up."""

from accounts.models import User

DOMAIN = "demo.anban.example"


def is_demo_address(email: str) -> bool:
    return email.lower().endswith(f"@{DOMAIN}")


def accounts_exist() -> bool:
    return User.objects.filter(email__endswith=f"@{DOMAIN}").exists()
