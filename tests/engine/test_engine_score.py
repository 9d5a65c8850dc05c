"""Log-probabilities against a one-row oracle: no padding, no batch, no cache, straight through `model(input_ids)`."""

from __future__ import annotations

import numpy as np
import pytest
from engine_oracle import plain_score

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


KINDS = {"llama": "decoder", "gpt2": "decoder", "t5": "encoder_decoder", "bert": "masked"}


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bert"])
@pytest.mark.parametrize("batch_tokens", [64, 300, 4096])
def test_scores_equal_one_plain_forward_a_row(open_model, models, tokenizers, name, batch_tokens):
    backend = open_model(name, batch_tokens=batch_tokens)
    requests = score_requests()
    order = np.random.default_rng(batch_tokens).permutation(len(requests))
    answers = {response.key: response for response in backend.run([requests[i] for i in order])}
    assert len(answers) == len(requests)
    for request in requests:
        got = answers[request.key]
        assert isinstance(got, Scored), got
        logprob, is_greedy = plain_score(models[name], tokenizers[name], request, kind=KINDS[name])
        assert got.logprob == pytest.approx(logprob, abs=TOLERANCE)
        assert got.is_greedy == is_greedy
        assert got.n_bytes == len(request.continuation.encode())
