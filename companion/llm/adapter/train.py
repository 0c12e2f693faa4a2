"""Makes `gemma-3-270m-companion.gguf`: a LoRA adapter that teaches the base model to answer in a chat.

    pip install gguf accelerate
    OMP_NUM_THREADS=1 python -m companion.llm.adapter.train WEIGHTS.gguf

WEIGHTS.gguf is the file that `manage.py llm_server` joins in var/models. The lines to learn from are the project's
own: dialogues.*.txt beside this file (said|answered|said|answered …) and the examples of the built-in companions.
Only the answers count in the loss, and they stand in the very transcript that is used when serving. About half an
hour on one core with bfloat16 instructions. It is not needed to run or to test the project. The adapter in the
repository came from three runs of these steps, each going on where the one before was stopped, about five epochs
in all; a new run gives one like it, not the same bytes.
"""

import math
import random
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf  # type: ignore[import-not-found]
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import nn

from companion.llm.transcript import Language, answered_by_persona, opening, said_by_person

HERE = Path(__file__).parent
RANK, ALPHA = 8, 16.0
EPOCHS, BATCH, RATE, WARM_UP = 4, 6, 6e-4, 15
SEED = 5
LAYERS = {
    "self_attn": {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"},
    "mlp": {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"},
}
PLAIN = {
    "zh": ("小安", "你是小安，一个AI聊天伙伴，说话温和、简短。"),
    "en": ("Ann", "You are Ann, an AI companion, warm and brief."),
}

Turn = tuple[str, str]
Persona = tuple[str, str, list[Turn]]
Sample = tuple[list[int], list[int]]


class Adapted(nn.Module):
    """A linear layer that stays as it is, and a low-rank correction that learns."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Parameter(torch.randn(RANK, base.in_features) / math.sqrt(base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = F.dropout(x, 0.05, self.training) @ self.a.t().to(x.dtype)
        return self.base(x) + (low @ self.b.t().to(x.dtype)) * (ALPHA / RANK)  # type: ignore[no-any-return]


def adapt(model: Any) -> dict[str, Adapted]:
    """Put an adapter on every projection; they are returned under llama.cpp's names."""
    model.requires_grad_(False)
    adapted: dict[str, Adapted] = {}
    for number, layer in enumerate(model.model.layers):
        for part, projections in LAYERS.items():
            for name, short in projections.items():
                module = Adapted(getattr(getattr(layer, part), name))
                setattr(getattr(layer, part), name, module)
                adapted[f"blk.{number}.{short}.weight"] = module
    return adapted


def dialogues(language: Language) -> list[list[Turn]]:
    lines = (HERE / f"dialogues.{language}.txt").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|") for line in lines if line]
    return [list(zip(row[::2], row[1::2], strict=True)) for row in cells]


def personas(language: Language) -> list[Persona]:
    found: list[Persona] = []
    for path in sorted((HERE.parent.parent / "builtin").glob("*.toml")):
        card = tomllib.loads(path.read_text(encoding="utf-8"))
        turns = [(example["user"][language], example["companion"][language]) for example in card["examples"]]
        found.append((card["name"][language], card["character"][language].strip().split("\n")[0], turns))
    return found


class Lessons:
    """Batches of token ids with labels; -100 where nothing is to be learnt. Other turns come before some."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._random = random.Random(SEED)

    def epoch(self) -> list[list[Sample]]:
        samples = [*self._samples("zh"), *self._samples("en")]
        self._random.shuffle(samples)
        samples.sort(key=lambda sample: len(sample[0]) // 12)  # alike in length, so that little is padded
        batches = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
        self._random.shuffle(batches)
        return batches

    def _samples(self, language: Language) -> Iterator[Sample]:
        pick = self._random
        cast, all_turns = personas(language), dialogues(language)
        for turns in all_turns:
            name, introduction, own = (*PLAIN[language], []) if pick.random() < 0.35 else pick.choice(cast)
            others = [pick.choice(all_turns)[0] for _ in range(4)]
            before = own if own and pick.random() < 0.6 else others
            shown = [turn for turn in pick.sample(before, pick.choice([0, 0, 1, 2])) if turn not in turns]
            yield self._sample(language, name, introduction, shown, turns)
        for name, introduction, own in cast:
            for turn in own:
                others = [other for other in own if other != turn]
                yield self._sample(
                    language, name, introduction, pick.sample(others, pick.choice([0, 1])), [turn]
                )

    def _sample(
        self, language: Language, name: str, introduction: str, shown: list[Turn], turns: list[Turn]
    ) -> Sample:
        parts = [(opening(language, name, introduction), False)]
        for said, answered in [*shown, *turns]:
            learnt = (said, answered) in turns
            parts.append((said_by_person(language, name, said), False))
            parts.append((answered_by_persona(language, answered), learnt))
        ids, labels = [self._tokenizer.bos_token_id], [-100]
        for text, learnt in parts:
            tokens = self._tokenizer(text, add_special_tokens=False).input_ids
            ids += tokens
            labels += tokens if learnt else [-100] * len(tokens)
        return ids, labels


def loss_of(model: Any, batch: list[Sample]) -> torch.Tensor:
    """Cross entropy; the large output layer is computed for the learnt places only."""
    length = max(len(ids) for ids, _ in batch)
    ids, seen = torch.zeros(len(batch), length, dtype=torch.long), torch.zeros(len(batch), length)
    labels = torch.full((len(batch), length), -100)
    for row, (tokens, wanted) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(wanted)] = torch.tensor(wanted)
        seen[row, : len(tokens)] = 1
    hidden = model.model(input_ids=ids, attention_mask=seen.long()).last_hidden_state[:, :-1]
    wanted_next = labels[:, 1:]
    learnt = wanted_next != -100
    return F.cross_entropy((hidden[learnt] @ model.lm_head.weight.t()).float(), wanted_next[learnt])


def save(adapted: dict[str, Adapted], path: Path) -> None:
    """Write what llama.cpp reads."""
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    writer.add_string("general.name", "Anban demonstration companion, an adapter for Gemma 3 270M")
    writer.add_string("general.license", "gemma")
    for name, module in adapted.items():
        writer.add_tensor(f"{name}.lora_a", module.a.detach().numpy().astype(np.float16))
        writer.add_tensor(f"{name}.lora_b", module.b.detach().numpy().astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    weights = Path(sys.argv[1])
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # waiting threads spin; on a shared machine one is faster than two
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name)
    model.bfloat16()
    adapted = adapt(model)
    parameters = [parameter for module in adapted.values() for parameter in (module.a, module.b)]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01, betas=(0.9, 0.99))
    lessons = Lessons(tokenizer)
    steps = 0
    for number in range(EPOCHS):
        batches = lessons.epoch()
        total = 0.0
        model.train()
        for batch in batches:
            progress = min(1.0, steps / (EPOCHS * len(batches)))
            rate = RATE * min(1.0, (steps + 1) / WARM_UP) * (0.55 + 0.45 * math.cos(math.pi * progress))
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss = loss_of(model, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            total += loss.item()
            steps += 1
        print(f"epoch {number + 1}: loss {total / len(batches):.3f}", flush=True)  # noqa: T201
        save(adapted, HERE / "gemma-3-270m-companion.gguf")


if __name__ == "__main__":
    main()
