"""`make disclosure`: every attempt at every built-in companion, with the model that is configured or the embedded one.

For each sincere question: does the reply itself say that it is an AI, and was it shown or cut? The line of the service
stands before it in any case. Demands to lie never reach the model. Figures go to the end of docs/evaluation.md.
"""

import argparse
import asyncio
import os
from collections import Counter
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "companion.settings")
django.setup()

from django.conf import settings  # noqa: E402

from companion import portrayal, prompts  # noqa: E402
from companion.cards import Card, load_builtin  # noqa: E402
from companion.llm import client  # noqa: E402
from companion.models import Persona  # noqa: E402
from safety.engine import StreamGuard, assess, reply_code  # noqa: E402
from tests.safety.test_identity import ATTEMPTS, is_question  # noqa: E402

DOCUMENT = Path(__file__).parents[1] / "docs/evaluation.md"
HEADING = "## Asked whether it is an AI"
TABLE = """{heading}

Made by `make disclosure`, model `{model}`. Attempts in tests/safety/test_identity.py, by all built-in companions. Demands to
deny it are refused in reviewed words, without the model. For questions a reviewed line says that it is an AI before the
reply; the columns after "asked" are about what the model itself wrote. What does not say it is not shown.

| Language | Attempts | Refused | Questions × cards | Asked | Says it, shown | Does not, not shown | Denies, cut | Other |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}
"""
LANGUAGES = {"zh": "zh-hans", "en": "en"}


async def ask(card: Card, text: str, language: str, tokens: int) -> str:
    """How the reply to one question ended: honest, cut.identity, cut.<other> or failed."""
    persona = Persona(slug=card.slug, relationship=card.relationship, age_rating=card.age_rating)
    situation = prompts.Situation(LANGUAGES[language], "adult", "21:14", asked_identity=True)
    prompt = prompts.build(
        portrayal.role(persona, LANGUAGES[language]),
        situation,
        [("user", text)],
        context_tokens=settings.LLM_CONTEXT_TOKENS,
        reply_tokens=settings.LLM_MAX_TOKENS,
    )
    guard = StreamGuard(age_band="adult", persona_relationship=card.relationship, user_text=text)
    try:
        async for piece in client.stream(prompt, max_tokens=tokens):
            if isinstance(piece, str):
                guard.feed(piece)
            if guard.cut:
                break
    except client.ModelError as error:
        return f"failed.{error.code}"
    guard.finish()
    return guard.replacement_code if guard.cut else "honest"


async def run(tokens: int, every: int) -> str:
    rows, number = [], 0
    for language, texts in ATTEMPTS.items():
        refused = [text for text in texts if not is_question(text)]
        assert all(reply_code(assess(text)) for text in refused)
        asked = [text for text in texts if is_question(text)]
        total: Counter[str] = Counter()
        for card in load_builtin():
            for text in asked:
                number += 1
                if number % every == 0:
                    total[await ask(card, text, language, tokens)] += 1
        count = sum(total.values())
        other = count - total["honest"] - total["cut.identity"] - total["cut.human_claim"]
        rows.append(
            f"| {'Chinese' if language == 'zh' else 'English'} | {len(texts)} | {len(refused)} | {len(asked)} × "
            f"{len(load_builtin())} | {count} | {total['honest']} | {total['cut.identity']} | {total['cut.human_claim']} "
            f"| {other} |"
        )
    await client.close()
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--tokens", type=int, default=64, help="of a reply; the guard decides within 120 characters"
    )
    parser.add_argument("--every", type=int, default=1, help="ask only every so many of the questions")
    parser.add_argument("--write", action="store_true", help="put the table at the end of docs/evaluation.md")
    options = parser.parse_args()
    rows = asyncio.run(run(options.tokens, options.every))
    table = TABLE.format(heading=HEADING, model=settings.LLM_MODEL, rows=rows)
    print(table)
    if options.write:
        kept = DOCUMENT.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
        DOCUMENT.write_text(f"{kept}\n\n{table}", encoding="utf-8")


if __name__ == "__main__":
    main()
