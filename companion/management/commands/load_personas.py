"""Bring the rows of built-in companions in line with their cards."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from companion.cards import load_builtin
from companion.models import Persona


class Command(BaseCommand):
    help = "Create and update the built-in companions; retire those whose card is gone."

    def handle(self, *args: Any, **options: Any) -> None:
        cards = load_builtin()
        with transaction.atomic(durable=True):
            for card in cards:
                Persona.objects.update_or_create(
                    slug=card.slug,
                    author=None,
                    defaults={
                        "relationship": card.relationship,
                        "age_rating": card.age_rating,
                        "version": card.version,
                        "state": Persona.State.PUBLISHED,
                    },
                )
            retired = (
                Persona.objects.filter(author__isnull=True)
                .exclude(slug__in=[card.slug for card in cards])
                .exclude(state=Persona.State.RETIRED)
                .update(state=Persona.State.RETIRED)
            )
        self.stdout.write(f"{len(cards)} built-in companions, {retired} retired.")
