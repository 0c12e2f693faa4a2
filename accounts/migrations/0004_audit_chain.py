"""The chain over the audit entries; the database refuses to change or delete its links too.

TRUNCATE stays possible, as for the entries: the file of heads shows it.
"""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION accounts_auditlink_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit links are append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER accounts_auditlink_append_only BEFORE UPDATE OR DELETE ON accounts_auditlink
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_auditlink_refuse();
"""
BACKWARD = """
DROP TRIGGER accounts_auditlink_append_only ON accounts_auditlink;
DROP FUNCTION accounts_auditlink_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_admin_names")]
    operations = [
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry", models.BigIntegerField(unique=True)),
                ("prev", models.BinaryField(unique=True)),
                ("hash", models.BinaryField()),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
