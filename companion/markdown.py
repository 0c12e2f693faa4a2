"""Markdown to safe HTML: no raw HTML, an allow-list of tags, no images, links that leak nothing (threat T30)."""

from html import escape

import nh3
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough").disable("image")
_TAGS = {"p", "br", "em", "strong", "s", "code", "pre", "ul", "ol", "li", "blockquote", "a", "hr"}


def render(text: str) -> str:
    """HTML of a companion's reply. Headings become bold lines: a bubble is not a document."""
    html = _MARKDOWN.render(text)
    for level in range(1, 7):
        html = html.replace(f"<h{level}>", "<p><strong>").replace(f"</h{level}>", "</strong></p>")
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"https", "http", "tel"},
        link_rel="noopener noreferrer nofollow",
    )


def plain(text: str) -> str:
    """HTML of what a person wrote: shown as typed, never interpreted."""
    return (
        "<p>" + "</p><p>".join(escape(block).replace("\n", "<br>") for block in text.split("\n\n")) + "</p>"
    )
