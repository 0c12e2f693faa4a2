"""The catalogues of translated texts: what is extracted, what the check finds, and that ours are complete."""

from io import StringIO
from pathlib import Path

import allauth
import django.conf
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import translation

from companion import borrowed_texts, catalogue

TEMPLATE = """\
{% load i18n %}<main>
    <h1>{% translate "Day" context "theme" %}</h1>
    {% if name %}
        <p>{% blocktranslate trimmed %}
            About
            {{ name }}
        {% endblocktranslate %}</p>
    {% endif %}
    {% blocktranslate count number=days trimmed %}{{ number }} day{% plural %}{{ number }} days{% endblocktranslate %}
    {{ other|default:_("Nobody's") }} 中文 "quoted' (
</main>
"""
MODULE = """\
from django.utils.translation import gettext_lazy as _, ngettext, npgettext_lazy, pgettext

def words(n):
    return (
        _("Two parts "
          "of one text"),
        pgettext("theme", "Night"),
        ngettext("%(n)s hour", "%(n)s hours", n),
        npgettext_lazy("clock", "%(n)s minute", "%(n)s minutes", n),
    )
"""
TRANSLATED: dict[str, str | tuple[str, ...]] = {
    "Two parts of one text": "一段话的两部分",
    "Night": "夜间",
    "%(n)s hour": ("%(n)s 小时",),
    "%(n)s minute": ("%(n)s 分钟",),
    "Day": "日间",
    "About %(name)s": "关于%(name)s",
    "%(number)s day": ("%(number)s 天",),
    "Nobody's": "没有人的",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project, extracted and completely translated."""
    write(tmp_path / "templates" / "page.html", TEMPLATE)
    write(tmp_path / "companion" / "words.py", MODULE)
    write(tmp_path / "companion" / "migrations" / "0001.py", '_("Old")')
    write(tmp_path / "tests" / "test_words.py", '_("Test")')
    catalogue.update(tmp_path)
    for original, text in TRANSLATED.items():
        translate(tmp_path, original, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def po_file(project: Path, language: str = "zh_Hans") -> Path:
    return project / "locale" / language / "LC_MESSAGES" / "django.po"


def read(project: Path, language: str = "zh_Hans") -> Catalog:
    with po_file(project, language).open("rb") as file:
        return read_po(file, locale=language)


def po_text(word: str | tuple[str, ...]) -> str:
    if isinstance(word, str):
        return f'msgstr "{word}"\n'
    return "".join(f'msgstr[{number}] "{form}"\n' for number, form in enumerate(word))


def translate(project: Path, original: str, text: str | tuple[str, ...]) -> None:
    """Put `text` where the file holds nothing, or the translation of TRANSLATED, for `original`."""
    entries = po_file(project).read_text().split("\n\n")
    [number] = [n for n, entry in enumerate(entries) if f'msgid "{original}"\n' in entry]
    head, _, _ = entries[number].partition("msgstr")
    entries[number] = head + po_text(text).rstrip("\n")
    po_file(project).write_text("\n\n".join(entries).rstrip("\n") + "\n\n")


def test_texts_of_code_and_templates_are_found_with_context_and_plural(project: Path) -> None:
    found = {(message.id, message.context) for message in read(project) if message.id}
    assert found == {
        ("Two parts of one text", None),
        ("Night", "theme"),
        (("%(n)s hour", "%(n)s hours"), None),
        (("%(n)s minute", "%(n)s minutes"), "clock"),
        ("Day", "theme"),
        ("About %(name)s", None),
        (("%(number)s day", "%(number)s days"), None),
        ("Nobody's", None),
    }


def test_a_complete_project_has_no_problems(project: Path) -> None:
    assert catalogue.problems(project) == []


def test_english_is_written_from_the_sources(project: Path) -> None:
    english = read(project, "en")
    assert english.get("Day", "theme").string == "Day"  # type: ignore[union-attr]
    assert english.get("%(number)s day").string == ("%(number)s day", "%(number)s days")  # type: ignore[union-attr]


def test_an_update_changes_nothing_when_the_sources_did_not_change(project: Path) -> None:
    before = po_file(project).read_text()
    catalogue.update(project)
    assert po_file(project).read_text() == before


def test_moving_a_line_does_not_touch_the_catalogues(project: Path) -> None:
    write(project / "companion" / "words.py", "\n\n\n" + MODULE)
    assert catalogue.problems(project) == []


def test_a_changed_text_loses_its_translation_and_leaves_no_old_entry(project: Path) -> None:
    write(project / "companion" / "words.py", MODULE.replace("of one text", "of one sentence"))
    assert catalogue.problems(project) == [
        "zh_Hans: not in the catalogue: 'Two parts of one sentence'",
        "zh_Hans: not in the sources: 'Two parts of one text'",
        "en: not in the catalogue: 'Two parts of one sentence'",
        "en: not in the sources: 'Two parts of one text'",
    ]
    catalogue.update(project)
    assert catalogue.problems(project) == ["zh_Hans: untranslated: 'Two parts of one sentence'"]
    assert "of one text" not in po_file(project).read_text()


def test_a_changed_plural_loses_its_translation(project: Path) -> None:
    write(project / "companion" / "words.py", MODULE.replace('"%(n)s hours"', '"%(n)s long hours"'))
    catalogue.update(project)
    assert catalogue.problems(project) == ["zh_Hans: untranslated: '%(n)s hour'"]


@pytest.mark.parametrize(
    ("original", "text", "problem"),
    [
        ("Night", "", "untranslated: 'Night' (theme)"),
        ("About %(name)s", "关于", "placeholders differ: 'About %(name)s'"),
        ("About %(name)s", "关于%(nam)s", "placeholders differ: 'About %(name)s'"),
        ("%(n)s hour", ("几小时",), "placeholders differ: '%(n)s hour'"),
        ("Night", "<b>夜间</b>", "tags differ: 'Night' (theme)"),
        ("Night", "天黑了,夜间", "half-width punctuation beside Chinese: 'Night' (theme)"),
        ("Night", "夜间.", "half-width punctuation beside Chinese: 'Night' (theme)"),
        ("About %(name)s", "关于: %(name)s", "half-width punctuation beside Chinese: 'About %(name)s'"),
        ("Night", "夜间！", "an exclamation mark: 'Night' (theme)"),
    ],
)
def test_the_check_names_a_faulty_translation(
    project: Path, original: str, text: str | tuple[str, ...], problem: str
) -> None:
    translate(project, original, text)
    assert catalogue.problems(project) == [f"zh_Hans: {problem}"]


@pytest.mark.parametrize("text", ["夜间，AI, 12:30 (UTC)", "夜间，3.5 不变"])
def test_half_width_punctuation_among_latin_letters_and_numbers_is_right(project: Path, text: str) -> None:
    translate(project, "Night", text)
    assert catalogue.problems(project) == []


def test_a_text_with_more_forms_than_its_language_is_named_by_file_and_line(project: Path) -> None:
    translate(project, "%(n)s hour", ("%(n)s 小时", "%(n)s 小时"))
    with pytest.raises(catalogue.Unreadable, match=r"zh_Hans.*django\.po: .* on \d+"):
        catalogue.problems(project)


def test_a_missing_plural_form_is_untranslated(project: Path) -> None:
    english = po_file(project, "en")
    english.write_text(english.read_text().replace('msgstr[1] "%(n)s hours"\n', ""))
    assert catalogue.problems(project) == ["en: untranslated: '%(n)s hour'"]


def test_a_fuzzy_entry_is_a_problem_and_an_update_empties_it(project: Path) -> None:
    text = po_file(project).read_text()
    marked = text.replace('msgctxt "theme"\nmsgid "Night"', '#, fuzzy\nmsgctxt "theme"\nmsgid "Night"')
    po_file(project).write_text(marked)
    assert catalogue.problems(project) == ["zh_Hans: fuzzy: 'Night' (theme)"]
    catalogue.update(project)
    assert catalogue.problems(project) == ["zh_Hans: untranslated: 'Night' (theme)"]


def test_a_new_source_file_makes_the_references_out_of_date(project: Path) -> None:
    write(project / "accounts" / "words.py", '_("Two parts of one text")')
    assert [line.partition(":")[0] for line in catalogue.problems(project)] == ["zh_Hans", "en"]


def test_compiled_catalogues_hold_the_texts_and_leave_no_drafts(project: Path) -> None:
    catalogue.compile_all(project)
    folder = po_file(project).parent
    assert sorted(path.name for path in folder.iterdir()) == ["django.mo", "django.po"]
    assert "一段话的两部分".encode() in (folder / "django.mo").read_bytes()


def test_both_catalogues_are_complete_and_in_line_with_the_sources() -> None:
    assert catalogue.problems(settings.BASE_DIR) == []


def test_the_command_fails_and_names_what_is_missing(project: Path, settings: object) -> None:
    settings.BASE_DIR = project  # type: ignore[attr-defined]
    translate(project, "Night", "")
    with pytest.raises(CommandError, match=r"untranslated: 'Night' \(theme\)"):
        call_command("messages", "--check")
    said = StringIO()
    call_command("messages", stdout=said)
    assert "Still to do:\nzh_Hans: untranslated: 'Night' (theme)" in said.getvalue()


def test_the_label_names_ai_and_generation_in_both_languages() -> None:
    """GB 45438 section 6: the words of the strip hold an AI element and a generation element."""
    for language, needed in (
        ("zh-hans", ("AI", "人工智能", "生成", "不是真人")),
        ("en", ("AI", "generated")),
    ):
        with translation.override(language):
            strip = translation.gettext("AI-generated content") + translation.gettext(
                "You are talking with an AI, not with a person."
            )
        assert [word for word in needed if word not in strip] == []


def test_every_borrowed_text_still_exists_where_it_was_borrowed() -> None:
    """A new version that words it differently would bring the stock Chinese back without a sound."""
    theirs: set[str] = set()
    for package in (django.conf, allauth):
        folder = Path(str(package.__file__)).parent / "locale" / "zh_Hans" / "LC_MESSAGES"
        with (folder / "django.po").open("rb") as file:
            theirs |= {str(message.id) for message in read_po(file, locale="zh_Hans")}
    texts = {text for text in borrowed_texts.TEXTS if isinstance(text, str)}
    assert texts - theirs == set()


def test_our_chinese_wins_over_the_stock_one() -> None:
    with translation.override("zh-hans"):
        assert translation.gettext("This field is required.") == "请填写这一项。"
        assert translation.ngettext(
            "You have added %(count)s security key.", "You have added %(count)s security keys.", 2
        ).startswith("你添加了")
