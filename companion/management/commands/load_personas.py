"""Bring the rows of built-in companions in line with their cards."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from companion.cards import load_builtin
from companion.models import Persona


class Command(BaseCommand):
    help = (
        "Create and update the built-in companions. Refuses when a card is gone whose end no notice has told."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        cards = load_builtin()
        with transaction.atomic(durable=True):
            for card in cards:
                current = {
                    "relationship": card.relationship,
                    "age_rating": card.age_rating,
                    "version": card.version,
                }
                # One that was retired stays so: its card is what its conversations are read with.
                Persona.objects.update_or_create(
                    slug=card.slug,
                    author=None,
                    defaults=current,
                    create_defaults=current | {"state": Persona.State.PUBLISHED},
                )
            gone = (
                Persona.objects.filter(author__isnull=True)
                .exclude(slug__in=[card.slug for card in cards])
                .exclude(state=Persona.State.RETIRED)
            )
            if names := sorted(gone.values_list("slug", flat=True)):
                raise CommandError(
                    f"No card, and no notice that was due: {', '.join(names)}. A companion ends by a service notice, "
                    "published in time (Staff pages, Service notices). Put the card back until then."
                )
        self.stdout.write(f"{len(cards)} built-in companions.")
