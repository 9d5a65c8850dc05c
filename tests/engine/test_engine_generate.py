"""Generation: token for token what `model.generate` writes for one row, whatever the batch."""

from __future__ import annotations

from typing import Any

import pytest
from engine_oracle import plain_generate

from evalharness.request import Decoding, Generate, RequestKey

PROMPTS = [
    "Question: what is two plus two? Answer:",
    "The quick brown fox",
    "A small model reads a small text, and says what comes next, and",
    "Le renard",
    "x",
    "Der schnelle braune Fuchs springt. 中文",
]


def requests(decoding: Decoding, prompts: list[str] = PROMPTS) -> list[Generate]:
    return [Generate(RequestKey("t", str(i)), prompt, decoding, seed=i) for i, prompt in enumerate(prompts)]


def answers(backend: Any, asked: list[Generate]) -> dict[str, Any]:
    found = {response.key.document_id: response for response in backend.run(asked)}
    assert len(found) == len(asked)
    return found


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize("batch_tokens", [40, 4096])
def test_greedy_answers_equal_generate_token_for_token(open_model, models, tokenizers, name, batch_tokens):
    backend = open_model(name, batch_tokens=batch_tokens)
    tokenizer = tokenizers[name]
    for document, got in answers(backend, requests(Decoding(max_new_tokens=24))).items():
        want = plain_generate(models[name], tokenizer, PROMPTS[int(document)], do_sample=False, max_new_tokens=24)
        assert got.token_ids == want
        assert got.n_tokens == len(want)
        assert got.text == tokenizer.decode(want, skip_special_tokens=True)
        assert got.stopped_by == ("eos" if want[-1] == 2 else "length")


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_beam_search_equals_generate_token_for_token(open_model, models, tokenizers, name):
    backend = open_model(name)
    tokenizer = tokenizers[name]
    for document, got in answers(backend, requests(Decoding(max_new_tokens=12, beams=3))).items():
        want = plain_generate(
            models[name], tokenizer, PROMPTS[int(document)], do_sample=False, max_new_tokens=12, num_beams=3
        )
        assert got.token_ids == want


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
def test_repetition_penalty_equals_generate_token_for_token(open_model, models, tokenizers, name):
    backend = open_model(name)
    tokenizer = tokenizers[name]
    decoding = Decoding(max_new_tokens=24, repetition_penalty=1.3)
    for document, got in answers(backend, requests(decoding)).items():
        want = plain_generate(
            models[name],
            tokenizer,
            PROMPTS[int(document)],
            do_sample=False,
            max_new_tokens=24,
            repetition_penalty=1.3,
        )
        assert got.token_ids == want
