"""Service notices: what is announced before it happens, who has seen it and who is mailed; a companion ends with one."""

import datetime
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import uuid
from typing import Any
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone


def tell_of_those_gone(apps: Any, schema_editor: Any) -> None:
    """Built-in companions that an older version took out get the notice they did not have."""
    ServiceNotice = apps.get_model("companion", "ServiceNotice")
    for persona in apps.get_model("companion", "Persona").objects.filter(state="retired", author=None):
        now = timezone.now()
        persona.retired_by = ServiceNotice.objects.create(
            kind="persona_removal",
            persona=persona,
            why="other",
            takes_effect_at=now,
            published_at=now,
            carried_out_at=now,
        )
        persona.save(update_fields=["retired_by"])


class Migration(migrations.Migration):
    dependencies = [
        ("companion", "0005_time_and_leaving"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceNoticeMail",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ServiceNoticeSeen",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("seen_at", models.DateTimeField(null=True)),
                ("dismissed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ServiceNotice",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("persona_retirement", "A companion ends"),
                            ("persona_removal", "A companion was taken away at once"),
                            ("feature_retirement", "A feature ends"),
                            ("change", "A change"),
                            ("outage", "Something does not work"),
                            ("end_of_service", "The service ends"),
                        ],
                        max_length=24,
                    ),
                ),
                ("feature", models.CharField(blank=True, max_length=24)),
                (
                    "why",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("harmful", "It could have led people to harm themselves or others."),
                            ("illegal", "The law did not allow it."),
                            ("real_person", "It was like a real person."),
                            ("author", "Whoever wrote it has deleted it."),
                            ("other", "We cannot offer it any longer."),
                        ],
                        max_length=16,
                    ),
                ),
                ("title_zh", models.CharField(blank=True, max_length=80)),
                ("title_en", models.CharField(blank=True, max_length=120)),
                ("text_zh", models.TextField(blank=True)),
                ("text_en", models.TextField(blank=True)),
                ("takes_effect_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("readable_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                ("carried_out_at", models.DateTimeField(blank=True, null=True)),
                ("enrolled_to", models.UUIDField(blank=True, null=True)),
                ("enrolled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "persona",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="service_notices",
                        to="companion.persona",
                    ),
                ),
                (
                    "published_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "service notice",
                "verbose_name_plural": "service notices",
            },
        ),
        migrations.AddField(
            model_name="persona",
            name="retired_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="companion.servicenotice",
            ),
        ),
        migrations.RunPython(tell_of_those_gone, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="persona",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "retired"), _negated=True),
                    ("retired_by__isnull", False),
                    ("author__isnull", False),
                    _connector="OR",
                ),
                name="persona_retired_with_notice",
            ),
        ),
        migrations.AddField(
            model_name="servicenoticemail",
            name="notice",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="mails",
                to="companion.servicenotice",
            ),
        ),
        migrations.AddField(
            model_name="servicenoticemail",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="servicenoticeseen",
            name="notice",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="seen_by",
                to="companion.servicenotice",
            ),
        ),
        migrations.AddField(
            model_name="servicenoticeseen",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="servicenotice",
            index=models.Index(fields=["-published_at"], name="service_notice_published"),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind__in", ["persona_retirement", "persona_removal"]), ("persona__isnull", False)
                    ),
                    models.Q(
                        models.Q(("kind__in", ["persona_retirement", "persona_removal"]), _negated=True),
                        ("persona__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="service_notice_names_its_companion",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "persona_retirement"), _negated=True),
                    ("published_at__isnull", True),
                    (
                        "takes_effect_at__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("published_at"), "+", models.Value(datetime.timedelta(days=30))
                        ),
                    ),
                    _connector="OR",
                ),
                name="service_notice_in_time_persona_retirement",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "feature_retirement"), _negated=True),
                    ("published_at__isnull", True),
                    (
                        "takes_effect_at__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("published_at"), "+", models.Value(datetime.timedelta(days=14))
                        ),
                    ),
                    _connector="OR",
                ),
                name="service_notice_in_time_feature_retirement",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "end_of_service"), _negated=True),
                    ("published_at__isnull", True),
                    (
                        "takes_effect_at__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("published_at"), "+", models.Value(datetime.timedelta(days=30))
                        ),
                    ),
                    _connector="OR",
                ),
                name="service_notice_in_time_end_of_service",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "change"), _negated=True),
                    ("published_at__isnull", True),
                    (
                        "takes_effect_at__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("published_at"), "+", models.Value(datetime.timedelta(days=7))
                        ),
                    ),
                    _connector="OR",
                ),
                name="service_notice_in_time_change",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenotice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "end_of_service"), _negated=True),
                    ("published_by__isnull", True),
                    models.Q(("published_by", models.F("created_by")), _negated=True),
                    _connector="OR",
                ),
                name="service_notice_end_by_two",
            ),
        ),
        migrations.AddIndex(
            model_name="servicenoticemail",
            index=models.Index(
                condition=models.Q(("next_at__isnull", False)),
                fields=["next_at"],
                name="service_notice_mail_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicenoticemail",
            constraint=models.UniqueConstraint(fields=("notice", "user"), name="service_notice_mail_once"),
        ),
        migrations.AddConstraint(
            model_name="servicenoticeseen",
            constraint=models.UniqueConstraint(fields=("user", "notice"), name="service_notice_seen_once"),
        ),
    ]
