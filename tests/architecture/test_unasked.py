"""Nothing is said or sent unasked: every place that could do so is on a list with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("accounts", "guardians", "safety", "companion")
# What leaves the service towards a person's device or mailbox.
SENDERS = {
    "send_mail",
    "send_mass_mail",
    "mail_admins",
    "mail_managers",
    "EmailMessage",
    "EmailMultiAlternatives",
    "get_connection",
    "WebPusher",
    "webpush",
    "ClientSession",
    "urlopen",
    "HTTPConnection",
    "HTTPSConnection",
}
# (file, call): why it may be sent although the person has left a moment ago.
REASONS = {
    (
        "guardians/views/invitations.py",
        "send_mail",
    ): "asked for: a young person invites whoever looks after them",
    (
        "companion/coming_of_age.py",
        "send_mail",
    ): "at 18 guardians see nothing any more, and a contact is to be named",
    ("accounts/adapter.py", "send_mail"): "asked for: confirmation of an address, a password",
    (
        "safety/views/moderation_admin.py",
        "send_mail",
    ): "asked for: the answer to a complaint, written by a human",
    ("safety/channels/email.py", "EmailMultiAlternatives"): "safety: notices of a case",
    ("safety/channels/email.py", "get_connection"): "safety: notices of a case",
    ("safety/channels/http.py", "HTTPSConnection"): "safety: push and signed webhooks of a case",
    ("safety/channels/push.py", "WebPusher"): "safety: notices of a case, to staff, guardians and contacts",
    ("safety/engine/session.py", "ClientSession"): "no person: the engine's own endpoints",
    ("companion/llm/client.py", "ClientSession"): "no person: the model",
}
ASKS = "quiet_until"  # whoever calls it (companion/leaving.py) need not be on the list
# (file, function) that make a message of the companion.
SPEAKERS = {
    ("companion/replies.py", "placeholder"): "answers a message",
    ("companion/turns.py", "open_conversation"): "the greeting, at the first opening",
}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module]]:
    """Every function with its file; a module stands for what is outside of functions."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            tree = ast.parse(path.read_text())
            name = str(path.relative_to(ROOT))
            yield name, tree
            yield from (
                (name, node)
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            )


def called(node: ast.AST) -> set[str]:
    calls = (found.func for found in ast.walk(node) if isinstance(found, ast.Call))
    return {
        f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)
    }


def test_whatever_is_sent_asks_whether_the_person_has_just_left_or_has_a_reason() -> None:
    found, careful = set(), set()
    for name, node in functions():
        sends = {(name, call) for call in called(node) & SENDERS}
        found |= sends
        if sends and not isinstance(node, ast.Module) and ASKS in called(node):
            careful |= sends
    assert found - careful <= set(REASONS), (
        "send it only when companion.leaving.quiet_until allows, or say why not"
    )
    assert set(REASONS) <= found, "the list names what is no longer there"


def test_only_an_answer_and_the_greeting_are_words_of_a_companion() -> None:
    speakers = set()
    for name, node in functions():
        if isinstance(node, ast.Module):
            continue
        for call in (found for found in ast.walk(node) if isinstance(found, ast.Call)):
            author = next((kw.value for kw in call.keywords if kw.arg == "author"), None)
            makes = isinstance(call.func, ast.Name | ast.Attribute) and (
                call.func.id if isinstance(call.func, ast.Name) else call.func.attr
            ) in ("Message", "create", "get_or_create", "update_or_create", "update")
            if makes and author is not None and ast.unparse(author) in ("Message.Author.AI", "'ai'"):
                speakers.add((name, node.name))
    assert speakers == set(SPEAKERS)


def test_a_reply_always_answers_something() -> None:
    """The one place that makes replies cannot be called without a question."""
    tree = ast.parse((ROOT / "companion/replies.py").read_text())
    (maker,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "placeholder"
    )
    question = {arg.arg: arg for arg in maker.args.args}["question"]
    assert not maker.args.defaults
    assert ast.unparse(question.annotation) == "Message"  # never None
