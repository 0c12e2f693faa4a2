"""Notices of more kinds than "this is AI", and the zone by which a day of limits is counted."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_audit_chain")]

    operations = [
        migrations.RemoveConstraint(model_name="notice", name="notice_once_per_session"),
        migrations.RenameField(model_name="notice", old_name="session_digest", new_name="occasion"),
        migrations.AlterField(
            model_name="notice", name="occasion", field=models.CharField(max_length=80)
        ),
        migrations.RenameField(model_name="notice", old_name="shown_at", new_name="raised_at"),
        migrations.AddField(
            model_name="notice", name="shown_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="notice",
            name="answer",
            field=models.CharField(
                blank=True,
                choices=[
                    ("understood", "Understood"),
                    ("pause", "Paused"),
                    ("continue", "Continued"),
                    ("lapsed", "No longer of use"),
                ],
                default="",
                max_length=12,
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(
            "UPDATE accounts_notice SET answer = 'understood' WHERE acknowledged_at IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name="notice", name="public_id", field=models.UUIDField(editable=False, null=True)
        ),
        migrations.RunSQL("UPDATE accounts_notice SET public_id = gen_random_uuid()", migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="notice",
            name="public_id",
            field=models.UUIDField(default=uuid.uuid4, editable=False, unique=True),
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("ai", "This is AI"),
                    ("start", "This is AI, at the start of a session"),
                    ("break", "Time for a break"),
                    ("reality", "This is not a person"),
                    ("dependence", "This is AI, after signs of dependence"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(
                fields=("user", "kind", "occasion"), name="notice_once_per_occasion"
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(condition=models.Q(("answer", "")), fields=["user"], name="notice_pending"),
        ),
        migrations.AddField(
            model_name="user",
            name="previous_zone",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="user",
            name="previous_zone_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
