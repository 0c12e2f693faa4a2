from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CompanionConfig(AppConfig):
    name = "companion"
    verbose_name = _("Companions")

    def ready(self) -> None:
        from companion import checks  # noqa: F401  (registers itself)
