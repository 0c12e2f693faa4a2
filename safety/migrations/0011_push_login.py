import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("safety", "0010_case_news"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        # Rows without a login would outlive every logout. Browsers subscribe again when their page is next opened.
        migrations.RunSQL("DELETE FROM safety_pushsubscription", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="pushsubscription",
            name="login",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="push_subscription",
                to="usersessions.usersession",
            ),
        ),
    ]
