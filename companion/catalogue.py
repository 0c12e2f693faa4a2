"""The catalogues of translated texts: extraction, update, check and compilation, with Babel alone.

Django's own commands call GNU gettext, which a machine with nothing but Python does not have. Templates go through
Django's `templatize`, which turns their tags into gettext calls, so one extractor reads everything.

A text that changed loses its translation: a sentence that is almost right is worse than one that the check names.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract as extract_messages
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po, write_po
from django.utils.translation.template import templatize

LANGUAGES = ("zh_Hans", "en")
SOURCE_LANGUAGE = "en"  # its texts are the keys, so its catalogue writes itself
SOURCES = ("accounts", "guardians", "safety", "companion", "templates")

# Which argument is what, as Babel counts them: "c" marks the context.
_KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
# Dates are left out: they would change the file at every run.
_HEADER = """\
# The texts of Anban. Written by `make messages`; translate them here.
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"

"""

_PLACEHOLDER = re.compile(r"%\(\w+\)[sdif]|%[sdif%]|\{\w*\}")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_HAN = r"[\u3400-\u9fff]"
_HALF_WIDTH = re.compile(rf"{_HAN} ?[,.;:?!()\"]|[,;:?!()\"] ?{_HAN}")


class Unreadable(Exception):
    """A catalogue is not a PO file, or a text has more forms than its language."""


def update(root: Path) -> None:
    """Bring the files in line with the sources and compile them."""
    found = _extract(root)
    for language in LANGUAGES:
        path = _file(root, language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(_carry_over(found, _read(root, language), language)), encoding="utf-8")
    compile_all(root)


def compile_all(root: Path) -> None:
    for language in LANGUAGES:
        compiled = BytesIO()
        write_mo(compiled, _read(root, language))
        path = _file(root, language).with_suffix(".mo")
        # Web processes may be reading the old one, and two may compile at once.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_bytes(compiled.getvalue())
        draft.replace(path)


def problems(root: Path) -> list[str]:
    """What is wrong with the files, one line each; empty when both are complete and in line with the sources."""
    found = _extract(root)
    lines: list[str] = []
    for language in LANGUAGES:
        catalog = _read(root, language)
        before = len(lines)
        lines += _differences(found, catalog, language)
        for message in catalog:
            if message.id:
                lines += [f"{language}: {what}: {_name(message)}" for what in _faults(message, catalog)]
        if before == len(lines) and _file(root, language).read_text(encoding="utf-8") != _render(
            _carry_over(found, catalog, language)
        ):
            lines.append(f"{language}: references, order or layout differ: run manage.py messages")
    return lines


def _extract(root: Path) -> Catalog:
    catalog = Catalog()
    for path in _source_files(root):
        source = path.read_text(encoding="utf-8")
        name = path.relative_to(root).as_posix()
        if path.suffix != ".py":
            # Indented markup would read as indented Python.
            source = "\n".join(line.lstrip() for line in templatize(source, origin=name).splitlines())
        found = extract_messages(
            "python", BytesIO(source.encode()), keywords=_KEYWORDS, comment_tags=("Translators:",)
        )
        for line, message, comments, context in found:
            catalog.add(message, locations=[(name, line)], auto_comments=comments, context=context)
    return catalog


def _source_files(root: Path) -> Iterator[Path]:
    """In an order that does not depend on the file system: it is the order of the catalogues."""
    for package in SOURCES:
        for path in sorted((root / package).rglob("*")):
            wanted = {".html", ".txt"} if package == "templates" else {".py"}
            if path.suffix in wanted and "migrations" not in path.parts:
                yield path


def _carry_over(found: Catalog, old: Catalog, language: str) -> Catalog:
    """The extracted texts with the translations that still belong to exactly them."""
    new = Catalog(locale=language)
    for message in found:
        if not message.id:
            continue
        known = old.get(message.id, message.context)
        if language == SOURCE_LANGUAGE:
            text = message.id
        elif known is not None and known.id == message.id and not known.fuzzy:
            text = known.string or ""
        else:
            text = ""
        new.add(
            message.id,
            text,
            locations=message.locations,
            auto_comments=message.auto_comments,
            user_comments=known.user_comments if known is not None else (),
            context=message.context,
        )
    return new


def _render(catalog: Catalog) -> str:
    body = BytesIO()
    write_po(body, catalog, width=0, omit_header=True, include_lineno=False)
    header = _HEADER.format(language=catalog.locale_identifier, plural_forms=catalog.plural_forms)
    return header + body.getvalue().decode()


def _differences(found: Catalog, catalog: Catalog, language: str) -> Iterator[str]:
    wanted = {(message.id, message.context): message for message in found if message.id}
    present = {(message.id, message.context): message for message in catalog if message.id}
    for key, message in wanted.items():
        if key not in present:
            yield f"{language}: not in the catalogue: {_name(message)}"
    for key, message in present.items():
        if key not in wanted:
            yield f"{language}: not in the sources: {_name(message)}"


def _faults(message: Message, catalog: Catalog) -> Iterator[str]:
    originals, texts = _forms(message.id), _forms(message.string)
    if message.fuzzy:
        yield "fuzzy"
    if not all(texts):
        yield "untranslated"
        return
    # A language with one form uses it for every number, so it needs what the plural has.
    for original, text in zip(originals[-len(texts) :], texts, strict=False):
        if Counter(_PLACEHOLDER.findall(original)) != Counter(_PLACEHOLDER.findall(text)):
            yield "placeholders differ"
        if Counter(_TAG.findall(original)) != Counter(_TAG.findall(text)):
            yield "tags differ"
        if catalog.locale_identifier == "zh_Hans":
            if _HALF_WIDTH.search(_read_aloud(text)):
                yield "half-width punctuation beside Chinese"
            if "！" in text:
                yield "an exclamation mark"


def _read_aloud(text: str) -> str:
    """The text with tags gone and a Chinese word in place of each placeholder, as a reader meets it."""
    return _PLACEHOLDER.sub("某", _TAG.sub("", text))


def _forms(texts: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (texts or "",) if texts is None or isinstance(texts, str) else tuple(texts)


def _name(message: Message) -> str:
    return repr(_forms(message.id)[0]) + (f" ({message.context})" if message.context else "")


def _read(root: Path, language: str) -> Catalog:
    path = _file(root, language)
    try:
        with path.open("rb") as file:
            return read_po(file, locale=language, abort_invalid=True)
    except FileNotFoundError:
        return Catalog(locale=language)
    except PoFileError as error:
        raise Unreadable(f"{path}: {error}") from error


def _file(root: Path, language: str) -> Path:
    return root / "locale" / language / "LC_MESSAGES" / "django.po"


if __name__ == "__main__":
    # For `make`, where a deployment has no settings yet.
    compile_all(Path(__file__).resolve().parent.parent)
