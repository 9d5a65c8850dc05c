"""Log-probabilities against a one-row oracle: no padding, no batch, no cache, straight through `model(input_ids)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from evalharness.request import Request, RequestKey, Score, Scored

#: float32 sums over up to ~60 tokens of magnitude ~6 in another order; the brief's bound.
TOLERANCE = 1e-5
MASK = 3
PROMPTS = [
    "Question: what is two plus two? Answer:",
    "The quick brown fox",
    "A small model reads a small text, and says what comes next, and",
    "",
    "Le renard brun ",
    "x",
]
CONTINUATIONS = [" four", " jumps over the lazy dog.", "y", "中文", " next", "é\n"]


def score_requests() -> list[Request]:
    return [
        Score(RequestKey("t", str(i), j), prompt, continuation)
        for i, prompt in enumerate(PROMPTS)
        for j, continuation in enumerate(CONTINUATIONS)
    ]


def log_softmax(model: Any, **inputs: list[int]) -> torch.Tensor:
    """(T, V) float64 log-probabilities of one row."""
    with torch.no_grad():
        logits = model(**{name: torch.tensor([ids]) for name, ids in inputs.items()}).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


def split(tokenizer: Any, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
    """Ids before and of the continuation, by the count of the prompt's own ids; end tokens stripped."""

    def encode(text: str) -> list[int]:
        return [token for token in tokenizer(text)["input_ids"] if token != 2]

    moved = prompt[len(prompt.rstrip()) :] + continuation
    prompt = prompt.rstrip()
    if not prompt:
        return [1], tokenizer(moved, add_special_tokens=False)["input_ids"]
    before, whole = encode(prompt), encode(prompt + moved)
    return before, whole[len(before) :]


def oracle(model: Any, tokenizer: Any, request: Score) -> tuple[float, bool]:
    if model.config.is_encoder_decoder:
        moved = request.prompt[len(request.prompt.rstrip()) :] + request.continuation
        source = tokenizer(request.prompt.rstrip())["input_ids"]
        targets = tokenizer(moved, add_special_tokens=False)["input_ids"]
        table = log_softmax(model, input_ids=source, decoder_input_ids=[0, *targets[:-1]])
    elif model.config.model_type == "bert":
        before, targets = split(tokenizer, request.prompt, request.continuation)
        lines = []
        for i in range(len(targets)):
            masked = [*before, *targets[:i], MASK, *targets[i + 1 :], 2]
            lines.append(log_softmax(model, input_ids=masked)[len(before) + i])
        table = torch.stack(lines)
    else:
        before, targets = split(tokenizer, request.prompt, request.continuation)
        table = log_softmax(model, input_ids=[*before, *targets[:-1]])[len(before) - 1 :]
    picked = table[torch.arange(len(targets)), torch.tensor(targets)]
    return float(picked.sum()), bool((table.argmax(-1) == torch.tensor(targets)).all())


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bert"])
@pytest.mark.parametrize("batch_tokens", [64, 300, 4096])
def test_scores_equal_one_plain_forward_a_row(open_model, models, name, batch_tokens):
    backend = open_model(name, batch_tokens=batch_tokens)
    tokenizer = backend._checkpoint.tokenizer
    requests = score_requests()
    order = np.random.default_rng(batch_tokens).permutation(len(requests))
    answers = {response.key: response for response in backend.run([requests[i] for i in order])}
    assert len(answers) == len(requests)
    for request in requests:
        got = answers[request.key]
        assert isinstance(got, Scored), got
        logprob, is_greedy = oracle(models[name], tokenizer, request)
        assert got.logprob == pytest.approx(logprob, abs=TOLERANCE)
        assert got.is_greedy == is_greedy
        assert got.n_bytes == len(request.continuation.encode())
