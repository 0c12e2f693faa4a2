"""Functions that an operator can turn off at once."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_notices_and_zones"),
    ]

    operations = [
        migrations.CreateModel(
            name="Switch",
            fields=[
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("sign_ups", "New accounts"),
                            ("personas", "Companions"),
                            ("written_personas", "Companions written by members"),
                            ("minors", "Access of people under 18"),
                            ("voice", "Voice"),
                            ("payments", "Payments"),
                        ],
                        max_length=24,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("off", models.BooleanField(default=False)),
                ("reason", models.CharField(blank=True, max_length=16)),
                ("note", models.CharField(blank=True, max_length=200)),
                ("sentence_zh", models.CharField(blank=True, max_length=200)),
                ("sentence_en", models.CharField(blank=True, max_length=200)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "changed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "switch",
                "verbose_name_plural": "switches",
            },
        ),
    ]
