"""Tables in the documents against the code: variables, refusals, tables with personal data, threats."""

import re

from django.apps import apps

from accounts.models import User
from tests.architecture.documents import PACKAGES, first_cells, name_of, read, sources

DEPLOYMENT = "docs/deployment.md"
DATA_MAP = "docs/data-map.md"
THREATS = "docs/threat-model.md"


def documented_variables() -> set[str]:
    return {cell.strip("`") for cell in first_cells(read(DEPLOYMENT)) if re.fullmatch(r"`[A-Z_]+`", cell)}


def test_every_variable_of_the_settings_is_documented_and_no_other() -> None:
    read_by_settings = set(re.findall(r"\benv\.\w+\(\s*[\"']([A-Z_]+)[\"']", read("companion/settings.py")))
    assert documented_variables() == read_by_settings


def test_the_example_file_names_documented_variables_only() -> None:
    named = set(re.findall(r"^# ([A-Z_]+)=", read(".env.example"), re.MULTILINE))
    assert named - documented_variables() == {"CHROMIUM"}
    assert "`CHROMIUM`" in read(DEPLOYMENT)


def test_every_refusal_and_warning_has_its_line() -> None:
    ids = {
        f"{package}.{code}"
        for path in sources(*PACKAGES)
        for package, code in re.findall(r"\bid=\"(\w+)\.([EW]\d{3})\"", path.read_text())
    }
    named = set(re.findall(r"\b(?:accounts|guardians|safety|companion)\.[EW]\d{3}\b", read(DEPLOYMENT)))
    assert named == ids


def test_the_data_map_lists_every_model_and_no_other() -> None:
    """All of ours; of other packages those that belong to a person, and sessions and confirmations."""
    listed = {
        (table, model)
        for cell in first_cells(read(DATA_MAP))
        for table, model in re.findall(r"`(\w+)` \(`(\w+)`\)", cell)
    }
    personal = {
        (model._meta.db_table, model.__name__)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in PACKAGES
        or model.__name__ in ("Session", "EmailConfirmation")
        or any(field.related_model is User for field in model._meta.fields)
    }
    assert listed == personal


def test_the_data_map_calls_sealed_what_is_stored_sealed() -> None:
    rows = {cell: line for line in read(DATA_MAP).splitlines() for cell in first_cells(line)}
    for model in apps.get_models():
        if model._meta.app_label not in PACKAGES:
            continue
        sealed = any(field.get_internal_type() == "BinaryField" for field in model._meta.fields)
        column = rows[f"`{model._meta.db_table}` (`{model.__name__}`)"].split("|")[4].strip()
        assert column.startswith("no") != sealed, model.__name__


def test_threats_that_the_code_names_are_in_the_threat_model() -> None:
    text = read(THREATS)
    listed = {f"T{number}" for number in re.findall(r"\bT(\d+)\b", text)} | set(
        re.findall(r"\b[NE]-?\d+\b", text)
    )
    for first, last in re.findall(r"\bT(\d+)–T(\d+)\b", text):
        listed |= {f"T{number}" for number in range(int(first), int(last) + 1)}
    for path in sources(*PACKAGES, "tests"):
        if name_of(path).startswith("tests/architecture"):
            continue
        named = set(re.findall(r"\b(?:threat |\(|, )(T\d+|N\d+|E-\d+)\b", path.read_text()))
        assert named <= listed, name_of(path)
