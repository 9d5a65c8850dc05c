"""The oracle: one row at a time, no padding, no batch, no cache, straight through `model(input_ids)`.

Written from the rules and not from the engine: only the tokenizer and the model are shared.
"""

from __future__ import annotations

from typing import Any

import torch

from evalharness.request import Score

BOS, EOS, MASK = 1, 2, 3


def log_softmax(model: Any, **inputs: list[int]) -> torch.Tensor:
    """(T, V) float64 log-probabilities of one row."""
    with torch.no_grad():
        logits = model(**{name: torch.tensor([ids]) for name, ids in inputs.items()}).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


def split(tokenizer: Any, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
    """Ids before and of the continuation, by the count of the prompt's own ids; end tokens stripped."""

    def encode(text: str) -> list[int]:
        return [token for token in tokenizer(text)["input_ids"] if token != EOS]

    if not prompt:
        return [BOS], tokenizer(continuation, add_special_tokens=False)["input_ids"]
    before, whole = encode(prompt), encode(prompt + continuation)
    return before, whole[len(before) :]


def plain_score(
    model: Any, tokenizer: Any, request: Score, *, kind: str, decoder_start: tuple[int, ...] = (0,)
) -> tuple[float, bool]:
    """Log-probability of a continuation and whether it is greedy; nothing may overflow the context."""
    prompt = request.prompt.rstrip()
    continuation = request.prompt[len(prompt) :] + request.continuation
    if kind == "encoder_decoder":
        source = tokenizer(prompt)["input_ids"] or [BOS]
        targets = tokenizer(continuation, add_special_tokens=False)["input_ids"]
        table = log_softmax(model, input_ids=source, decoder_input_ids=[*decoder_start, *targets[:-1]])
        table = table[len(decoder_start) - 1 :]
    elif kind == "masked":
        before, targets = split(tokenizer, prompt, continuation)
        lines = []
        for i in range(len(targets)):
            masked = [*before, *targets[:i], MASK, *targets[i + 1 :], EOS]
            lines.append(log_softmax(model, input_ids=masked)[len(before) + i])
        table = torch.stack(lines)
    else:
        before, targets = split(tokenizer, prompt, continuation)
        table = log_softmax(model, input_ids=[*before, *targets[:-1]])[len(before) - 1 :]
    picked = table[torch.arange(len(targets)), torch.tensor(targets)]
    return float(picked.sum()), bool((table.argmax(-1) == torch.tensor(targets)).all())


def plain_generate(model: Any, tokenizer: Any, prompt: str, **settings: Any) -> tuple[int, ...]:
    """Generated ids of one row by transformers alone."""
    ids = torch.tensor([[token for token in tokenizer(prompt)["input_ids"] if token != EOS or _has_encoder(model)]])
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **settings)[0]
    return tuple(out[1 if _has_encoder(model) else ids.shape[1] :].tolist())


def _has_encoder(model: Any) -> bool:
    return bool(model.config.is_encoder_decoder)
