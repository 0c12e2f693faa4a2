"""The database itself keeps a case to its states, and its record from being rewritten, also for code that forgets."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION safety_crisiscase_states() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = NEW.state
        OR (OLD.state IN ('open', 'escalating') AND NEW.state IN ('escalating', 'acknowledged', 'in_care', 'closed'))
        OR (OLD.state = 'acknowledged' AND NEW.state IN ('open', 'escalating', 'in_care', 'closed'))
        OR (OLD.state = 'in_care' AND NEW.state IN ('open', 'escalating', 'acknowledged', 'closed'))
    THEN RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a case does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER safety_crisiscase_states BEFORE UPDATE OF state ON safety_crisiscase
    FOR EACH ROW EXECUTE FUNCTION safety_crisiscase_states();
CREATE FUNCTION safety_caseevent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record of a case is not rewritten' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER safety_caseevent_keep BEFORE UPDATE ON safety_caseevent
    FOR EACH STATEMENT EXECUTE FUNCTION safety_caseevent_refuse();
"""
BACKWARD = """
DROP TRIGGER safety_caseevent_keep ON safety_caseevent;
DROP FUNCTION safety_caseevent_refuse();
DROP TRIGGER safety_crisiscase_states ON safety_crisiscase;
DROP FUNCTION safety_crisiscase_states();
"""


class Migration(migrations.Migration):
    dependencies = [("safety", "0004_crisis_cases")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
