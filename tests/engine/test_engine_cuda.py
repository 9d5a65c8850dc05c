"""The same answers on a CUDA device: float32 there multiplies in another order, so to 1e-4."""

from __future__ import annotations

import pytest
import torch
from engine_oracle import plain_score

from evalharness.backend.protocol import EngineSettings
from evalharness.engine.backend import open_backend
from evalharness.model.spec import ModelSpec
from evalharness.request import Compress, Compressed, Decoding, Generate, RequestKey, Score

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
KINDS = {"llama": "decoder", "gpt2": "decoder", "t5": "encoder_decoder", "bert": "masked"}
PROMPTS = ["The quick brown fox", "Question: what is two plus two? Answer:", "x"]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_scores_equal_the_oracle_on_the_cpu(checkpoints, models, tokenizers, name):
    backend = open_backend(ModelSpec(name=name, path=str(checkpoints[name]), device="cuda"), EngineSettings())
    asked = [Score(RequestKey("t", str(i)), prompt, " jumps over") for i, prompt in enumerate(PROMPTS)]
    for response in backend.run(asked):
        request = asked[int(response.key.document_id)]
        want, _ = plain_score(models[name], tokenizers[name], request, kind=KINDS[name])
        assert response.logprob == pytest.approx(want, abs=1e-4)
    assert backend.statistics()["peak_device_bytes"] > 0


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize(
    "decoding", [Decoding(max_new_tokens=12), Decoding(max_new_tokens=12, temperature=0.8, top_p=0.9)]
)
def test_answers_do_not_depend_on_the_batch(checkpoints, name, decoding):
    spec = ModelSpec(name=name, path=str(checkpoints[name]), device="cuda")
    asked = [Generate(RequestKey("t", str(i)), prompt, decoding, seed=i) for i, prompt in enumerate(PROMPTS)]
    together = {response.key: response for response in open_backend(spec, EngineSettings()).run(asked)}
    alone = {response.key: response for response in open_backend(spec, EngineSettings(batch_tokens=1)).run(asked)}
    assert together == alone


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("batch_tokens", [1, None])
def test_texts_are_compressed_without_loss(checkpoints, name, batch_tokens):
    backend = open_backend(
        ModelSpec(name=name, path=str(checkpoints[name]), device="cuda"), EngineSettings(batch_tokens)
    )
    asked = [Compress(RequestKey("t", str(i)), prompt * 20) for i, prompt in enumerate(PROMPTS)]
    assert all(isinstance(response, Compressed) for response in backend.run(asked))
