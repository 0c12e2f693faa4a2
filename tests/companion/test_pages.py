"""Every page that is not a chat: it answers, loads nothing from elsewhere, and needs no inline style or script."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import constants
from django.core.management import call_command
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import server_error

from accounts.care import AGREEMENT_VERSION
from accounts.models import User
from companion.cards import contrast, load_builtin
from safety.resources import help_lines

STATIC = Path(__file__).parents[2] / "static"
OPEN = ["home", "about", "labels", "model_info", "terms", "privacy", "help", "gallery"]
ENTRANCE = ["account_login", "account_signup", "account_reset_password"]
INSIDE = [
    "persona_create",
    "my_personas",
    "settings",
    "account_email",
    "account_change_password",
    "mfa_index",
    "usersessions_list",
]
_TINT = re.compile(r"\.tint-([\w-]+) \{ --tint-day: (#\w+); --tint-night: (#\w+); \}")
_TEXT_ON = [
    *((ink, ground) for ink in ("ink", "ink-quiet", "accent") for ground in ("paper", "surface", "raised")),
    ("accent-ink", "accent"),
    ("accent-ink", "accent-hover"),
    ("ink", "accent-soft"),
    ("care-ink", "care-paper"),
    ("help-ink", "help-paper"),
    ("help-ink", "paper"),
    ("help-on", "help"),
    ("danger", "paper"),
    ("danger", "surface"),
    ("danger-ink", "danger"),
    ("ink", "danger-paper"),
]


@pytest.fixture
def companions(db: None) -> None:
    call_command("load_personas")


def english_reader() -> Client:
    return Client(headers={"accept-language": "en"})


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


class Reader(HTMLParser):
    """What a page asks the browser to load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (
            tag == "script" and "src" not in given and given.get("type") != "application/json"
        ):
            self.inline.append(tag)
        if tag in ("script", "img", "link", "iframe", "source", "video", "audio"):
            self.loaded += [given[name] or "" for name in ("src", "href", "srcset") if given.get(name)]
        if given.get("id"):
            self.ids.append(given["id"] or "")


def check(page: str) -> None:
    reader = Reader(page)
    assert reader.inline == []
    assert [url for url in reader.loaded if not url.startswith("/")] == []
    assert len(reader.ids) == len(set(reader.ids))


# --- every page ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPEN + ENTRANCE)
def test_open_pages_answer_without_an_account(companions: None, name: str) -> None:
    response = Client().get(reverse(name))
    assert response.status_code == 200
    check(response.content.decode())


@pytest.mark.parametrize("name", OPEN + INSIDE)
def test_pages_answer_for_somebody_signed_in(companions: None, adult: User, name: str) -> None:
    response = client_of(adult).get(reverse(name), follow=True)
    assert response.status_code == 200
    check(response.content.decode())


@pytest.mark.parametrize("name", OPEN)
def test_pages_answer_in_simple_mode_and_say_so_to_the_style_sheet(
    companions: None, elder: User, name: str
) -> None:
    page = client_of(elder).get(reverse(name)).content.decode()
    assert re.search(r'<body class="simple\b', page)


@pytest.mark.parametrize("name", INSIDE)
def test_own_pages_send_visitors_to_the_login(db: None, name: str) -> None:
    assert Client().get(reverse(name)).headers["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("name", [name for name in OPEN if name != "gallery"])
def test_reading_pages_refuse_to_be_written_to(db: None, name: str) -> None:
    assert Client().post(reverse(name)).status_code == 405


def test_every_built_in_companion_has_a_page_that_says_it_is_ai(companions: None, adult: User) -> None:
    client = client_of(adult)
    for card in load_builtin():
        page = client.get(reverse("persona", args=[card.slug])).content.decode()
        check(page)
        assert "is played by an AI" in page
        assert (
            page.count('class="badge ai bubble-label"') == 3
        )  # one on each of its example lines, none on the person's


def test_example_lines_of_the_person_never_carry_the_mark(companions: None, adult: User) -> None:
    page = client_of(adult).get(reverse("persona", args=["dragon"])).content.decode()
    own = re.findall(r'<p class="bubble own">(.*?)</p>', page, re.DOTALL)
    assert len(own) == 3
    assert not any("badge" in bubble for bubble in own)


# --- what must be said --------------------------------------------------------------------------------------


def test_the_start_page_says_that_companions_may_not_suit_some_minors(companions: None) -> None:
    assert "may not be suitable for some minors" in english_reader().get(reverse("home")).content.decode()


def test_the_terms_explain_the_marks_and_carry_their_version(db: None) -> None:
    page = english_reader().get(reverse("terms")).content.decode()
    assert f"Version {AGREEMENT_VERSION}" in page
    assert reverse("labels") in page
    assert "remove, forge or hide" in page


def test_who_runs_the_site_is_named_and_its_absence_is_said(db: None, settings: Any) -> None:
    for name in ("terms", "privacy"):
        assert "has not entered their name" in english_reader().get(reverse(name)).content.decode()
    settings.OPERATOR_NAME, settings.OPERATOR_CONTACT = "Quiet House", "hello@quiet.example"
    for name in ("terms", "privacy"):
        page = english_reader().get(reverse(name)).content.decode()
        assert "Quiet House" in page
        assert "hello@quiet.example" in page


def test_the_page_of_the_model_tells_the_demonstration_model_its_licence_and_what_to_set(
    db: None, settings: Any
) -> None:
    settings.ANBAN_DEMO_MODEL = True
    page = english_reader().get(reverse("model_info")).content.decode()
    for words in ("demonstration model", "LLM_BASE_URL", "LLM_API_KEY", "LLM_MODEL", "LLM_GGUF_PATH"):
        assert words in page
    for words in ("Gemma 3 270M", "Gemma Terms of Use"):
        assert words in page
    settings.ANBAN_DEMO_MODEL, settings.LLM_MODEL = False, "some-model-7b"
    page = english_reader().get(reverse("model_info")).content.decode()
    assert "some-model-7b" in page
    assert "demonstration model" not in page


def test_the_demonstration_model_is_named_where_companions_are_chosen(
    companions: None, adult: User, settings: Any
) -> None:
    settings.ANBAN_DEMO_MODEL = True
    for url in (reverse("home"), reverse("gallery"), reverse("persona", args=["whale"])):
        assert 'class="notice demo"' in client_of(adult).get(url).content.decode()


def test_privacy_tells_whether_words_leave_the_computer(db: None, settings: Any) -> None:
    settings.ANBAN_DEMO_MODEL = True
    assert "your words do not leave it" in english_reader().get(reverse("privacy")).content.decode()
    settings.ANBAN_DEMO_MODEL = False
    assert (
        "The service that runs the language model"
        in english_reader().get(reverse("privacy")).content.decode()
    )


def test_help_lines_can_be_called_and_stand_in_the_header_of_every_page(db: None) -> None:
    page = Client().get(reverse("help")).content.decode()
    numbers = [line.number for line in help_lines("CN") if line.number]
    assert numbers
    for number in numbers:
        assert f'href="tel:{number}"' in page
    for name in OPEN:
        header = Client().get(reverse(name)).content.decode().split("</header>")[0]
        assert f'href="{reverse("help")}"' in header


def test_other_countries_can_be_chosen_and_unknown_ones_change_nothing(db: None) -> None:
    url = reverse("help")
    assert 'href="tel:988"' in Client().get(url, {"country": "US"}).content.decode()
    page = Client().get(url, {"country": "<x>"}).content.decode()
    assert 'href="tel:12356"' in page
    assert '<option value="CN" selected>' in page


# --- when something fails -----------------------------------------------------------------------------------


def test_a_missing_page_says_where_to_go_on(db: None) -> None:
    response = Client().get("/nothing/here/")
    assert response.status_code == 404
    check(response.content.decode())
    assert reverse("help") in response.content.decode()


def test_a_form_without_its_token_gets_a_page_and_no_technical_words(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post(reverse("set_language"), {"language": "en"})
    assert response.status_code == 403
    assert "CSRF" not in response.content.decode()


@pytest.mark.parametrize("template", ["400.html", "403.html", "403_csrf.html", "404.html", "429.html"])
def test_every_page_of_an_error_says_what_to_do_and_where_help_is(
    db: None, rf: RequestFactory, template: str
) -> None:
    for request in (None, rf.get("/")):  # Django renders the page of a bad request without one
        page = render_to_string(template, request=request)
        check(page)
        assert f'href="{reverse("home")}"' in page
        assert f'href="{reverse("help")}"' in page


def test_the_page_of_a_server_error_needs_no_database_and_shows_help_lines(rf: RequestFactory) -> None:
    response = server_error(rf.get("/"))  # a database query would fail this test
    page = response.content.decode()
    assert response.status_code == 500
    check(page)
    for line in help_lines("CN"):
        if line.number:
            assert line.number in page


def test_the_page_that_a_proxy_shows_while_everything_is_down_lists_the_same_numbers() -> None:
    page = (STATIC / "fallback.html").read_text(encoding="utf-8")
    reader = Reader(page)
    assert reader.inline == []
    assert [url for url in reader.loaded if "//" in url] == []
    for line in help_lines("CN"):
        if line.number:
            assert f"tel:{line.number}" in page


# --- how pages look -----------------------------------------------------------------------------------------


def test_day_night_and_text_size_are_remembered_and_rendered_by_the_server(companions: None) -> None:
    client = Client()
    assert 'data-theme="auto" data-text="normal"' in client.get(reverse("home")).content.decode()
    response = client.post(reverse("set_display"), {"theme": "dark", "next": reverse("help")})
    assert response.headers["Location"] == reverse("help")
    client.post(reverse("set_display"), {"text": "largest", "next": "/"})
    assert 'data-theme="dark" data-text="largest"' in client.get(reverse("home")).content.decode()


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", ""]
)
def test_display_settings_lead_nowhere_else(db: None, target: str) -> None:
    response = Client().post(reverse("set_display"), {"theme": "dark", "next": target})
    assert response.headers["Location"] == reverse("home")


def test_unknown_display_values_change_nothing(db: None) -> None:
    client = Client()
    client.post(reverse("set_display"), {"theme": '"><script>', "text": "gigantic"})
    assert not client.cookies
    client.cookies["anban_theme"] = '"><script>'
    assert 'data-theme="auto"' in client.get(reverse("about")).content.decode()
    assert client.get(reverse("set_display")).status_code == 405


def test_messages_are_shown_once_as_notices(rf: RequestFactory) -> None:
    message = type(
        "M", (), {"level": constants.WARNING, "level_tag": "warning", "__str__": lambda _: "Saved."}
    )()
    page = Template('{% include "components/notices.html" %}').render(Context({"messages": [message]}))
    assert "Saved." in page
    assert "notice care" in page


def test_the_night_room_is_the_same_whether_the_system_or_the_person_asks_for_it() -> None:
    css = (STATIC / "css/tokens.css").read_text()
    system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', css, re.DOTALL)
    person = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.DOTALL)
    assert system
    assert person
    assert system[1].split() == person[1].split()


def test_the_tints_are_those_of_the_cards() -> None:
    css = (STATIC / "css/tints.css").read_text()
    found = {slug: (day, night) for slug, day, night in _TINT.findall(css) if len(slug) > 1}
    assert found == {card.slug: (card.tint.light, card.tint.dark) for card in load_builtin()}


def test_colours_are_named_in_the_tokens_and_the_tints_only() -> None:
    for name in ("base.css", "components.css", "pages.css", "chat.css"):
        css = (STATIC / "css" / name).read_text().split("@media print")[0]
        assert re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)) == [], name


@pytest.mark.parametrize("room", ["day", "night"])
def test_text_can_be_read_in_both_rooms(room: str) -> None:
    css = (STATIC / "css/tokens.css").read_text()
    blocks = (
        re.search(r":root \{(.*?)\n  \}", css, re.DOTALL),
        re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.DOTALL),
    )
    tokens: dict[str, str] = {}
    for block in blocks[: 1 if room == "day" else 2]:
        assert block
        tokens |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block[1]))
    for ink, ground in _TEXT_ON:
        assert contrast(tokens[ink], tokens[ground]) >= 4.5, (ink, ground)
