"""The verdicts of one person by time, made while messages go on being written."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("safety", "0012_use_reviews")]

    operations = [
        AddIndexConcurrently(
            model_name="assessment",
            index=models.Index(fields=["user", "-created_at"], name="assessment_of_person"),
        )
    ]
