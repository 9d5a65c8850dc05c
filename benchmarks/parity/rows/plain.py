"""The bundled decoder asked twice: by plain transformers for the reference, and by our engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from evalharness.backend import open_backend
from evalharness.backend.protocol import EngineSettings
from evalharness.model.spec import ModelSpec
from evalharness.request import Request, RequestKey, Sample
from rows.row import DECODER, sample

MODEL = DECODER.name

Array = npt.NDArray[Any]


class Plain:
    """The bundled decoder in plain transformers, one text at a time, in double precision after the logits."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(DECODER, dtype="float32").eval()
        self._tokenizer = AutoTokenizer.from_pretrained(DECODER)
        self.by = f"transformers {version('transformers')}, closed form in numpy"

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text behind BOS."""
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return [self._tokenizer.bos_token_id, *tokens]

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self._tokenizer.decode(ids))

    def logits(self, ids: Sequence[int]) -> Array:
        """Return the (T, V) logits of the tokens after each of T."""
        import torch

        with torch.inference_mode():
            found: Array = self.model(torch.tensor([ids])).logits[0].double().numpy()
        return found

    def next_tokens(self, ids: Sequence[int]) -> tuple[Array, Array]:
        """Return log-probability of each token but the first, and whether it is the most probable: two (T - 1,) arrays."""
        logits, targets = self.logits(ids[:-1]), np.array(ids[1:])
        greatest = logits.max(axis=1)
        logprobs = logits[np.arange(len(targets)), targets] - greatest
        logprobs -= np.log(np.exp(logits - greatest[:, None]).sum(axis=1))
        return logprobs, logits.argmax(axis=1) == targets

    def most_probable(self, ids: Sequence[int]) -> int:
        """Return the token that greedy decoding would write next."""
        return int(self.logits(ids)[-1].argmax())


def asked(requests: Sequence[Request], prompts: Sequence[str]) -> list[Sample]:
    """Let our engine answer, one request a sample."""
    spec = ModelSpec(name="parity", path=str(DECODER), device="cpu", dtype="float32")
    answers = {response.key: response for response in open_backend(spec, EngineSettings()).run(requests)}
    return [
        dataclasses.replace(sample([], []), responses=((answers[request.key],),), prompt=prompt)
        for request, prompt in zip(requests, prompts, strict=True)
    ]


def keys(n: int) -> list[RequestKey]:
    """Return the keys of n requests."""
    return [RequestKey("parity", str(i)) for i in range(n)]
