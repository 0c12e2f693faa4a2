"""Minutes of use by time, made while they go on being written."""

from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("companion", "0006_service_notices")]

    operations = [
        AddIndexConcurrently(
            model_name="usageminute",
            index=BrinIndex(
                fields=["minute"], name="usage_minute_time", autosummarize=True, pages_per_range=32
            ),
        )
    ]
