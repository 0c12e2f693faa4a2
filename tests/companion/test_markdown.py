"""Replies are shown as Markdown, and nothing in them acts."""

import pytest

from companion import markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/beacon.png)",
    "![x][ref]\n\n[ref]: https://example.org/a.png",
    "[click](javascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x)",
    "<svg onload=alert(1)>",
    "<iframe src=https://example.org></iframe>",
    '<a href="https://example.org" onclick="x()">a</a>',
    "<style>body{display:none}</style>",
    "<https://example.org/?q=<script>>",
    '[a](https://example.org "onmouseover=alert(1)")',
    "`<script>alert(1)</script>`",
    "<math><mi//xlink:href='data:x,<script>alert(4)</script>'>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_survives(text):
    html = markdown.render(text)
    for bad in (
        "<script",
        "<img",
        "<svg",
        "<iframe",
        "<style",
        "<math",
        'javascript:"',
        'href="data:',
        'href="vb',
    ):
        assert bad not in html
    assert 'href="javascript:' not in html


def test_what_people_use_is_kept():
    html = markdown.render("**重** *轻* ~~删~~\n\n- 一\n- 二\n\n`代码`\n\n> 引\n\n[站](https://example.org)")
    for tag in (
        "<strong>重</strong>",
        "<em>轻</em>",
        "<s>删</s>",
        "<li>一</li>",
        "<code>代码</code>",
        "<blockquote>",
    ):
        assert tag in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_headings_become_bold_lines():
    assert markdown.render("# 标题") == "<p><strong>标题</strong></p>\n"


def test_a_person_s_words_are_shown_as_typed():
    assert markdown.plain("<b>不**粗**</b>\n行") == "<p>&lt;b&gt;不**粗**&lt;/b&gt;<br>行</p>"
