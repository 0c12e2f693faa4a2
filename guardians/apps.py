from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuardiansConfig(AppConfig):
    name = "guardians"
    verbose_name = _("Guardians and contacts")

    def ready(self) -> None:
        from guardians import checks, spending_checks  # noqa: F401
