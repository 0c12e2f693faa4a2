from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("safety", "0002_assessment_pending")]

    operations = [
        migrations.AlterModelOptions(
            name="assessment",
            options={
                "verbose_name": "verdict on a message",
                "verbose_name_plural": "verdicts on messages",
            },
        )
    ]
