"""Generating text in batches: transformers' loop, with choice of token and stopping decided here, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from evalharness.engine.load import LoadedModel
from evalharness.engine.plan import GenerateRow
from evalharness.engine.sample import draw, generator_for, penalise
from evalharness.engine.score import padded
from evalharness.request import Decoding

#: Tokens decoded beyond a stop string's bytes: a first piece of a cut character, special tokens that decode to nothing.
SLACK_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Continuation:
    """What one row produced. text: before the stop string. ids: generated, the end token included."""

    text: str
    ids: tuple[int, ...]
    stopped_by: Literal["eos", "stop", "length"]


def generate_batch(loaded: LoadedModel, tokenizer: Any, rows: Sequence[GenerateRow]) -> list[Continuation | None]:
    """Continue each row; None where its logits were not finite. All rows have equal max_new_tokens and beams."""
    decodings = [row.job.request.decoding for row in rows]
    on_left = loaded.kind == "decoder"
    ids, mask = padded([row.job.ids for row in rows], loaded, on_left=on_left)
    start = ids.shape[1] if on_left else 1  # an encoder-decoder's answer begins behind its start token
    lengths = [len(row.job.ids) if on_left else 1 for row in rows]
    kept = loaded.model.generation_config
    chooser = _Chooser(decodings, [row.job.request.seed for row in rows], start, lengths)
    stopper = _Stopper(tokenizer, [decoding.stop for decoding in decodings], start, chooser, end_ids_of(kept))
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=decodings[0].max_new_tokens,
        num_beams=decodings[0].beams,
        do_sample=False,
        use_cache=True,
        eos_token_id=kept.eos_token_id,
        pad_token_id=kept.pad_token_id,
        bos_token_id=kept.bos_token_id,
        decoder_start_token_id=kept.decoder_start_token_id,
        forced_bos_token_id=kept.forced_bos_token_id,
    )
    with torch.inference_mode():
        output = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=LogitsProcessorList([chooser]),
            stopping_criteria=StoppingCriteriaList([stopper]),
        )
    lines = output[:, start:].tolist()
    broken = chooser.broken.tolist()
    return [
        None if broken[b] else continuation_of(tokenizer, line, decodings[b], end_ids_of(kept))
        for b, line in enumerate(lines)
    ]


def continuation_of(tokenizer: Any, line: list[int], decoding: Decoding, end_ids: frozenset[int]) -> Continuation:
    """Cut a generated line, padded on its right, at its end token, stop string or length."""
    end = next((i + 1 for i, token in enumerate(line) if token in end_ids), None)
    ids = line[:end] if end is not None else line
    text = text_of(tokenizer, ids)
    first = first_stop(text, decoding.stop)
    if first is None:
        return Continuation(text, tuple(ids), "eos" if end is not None else "length")
    ids = ids[: _tokens_until_stop(tokenizer, ids, decoding.stop)]
    return Continuation(text[:first], tuple(ids), "stop")


def _tokens_until_stop(tokenizer: Any, ids: Sequence[int], stop: tuple[str, ...]) -> int:
    """Count the tokens up to the one that completed a stop string; the batch may have gone on for its other rows.

    A stop string once decoded stays, so that the count is found by bisection.
    """
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if first_stop(text_of(tokenizer, ids[:middle]), stop) is None:
            low = middle + 1
        else:
            high = middle
    return high


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Find where the earliest stop string begins; None where there is none."""
    found = [at for string in stop if string and (at := text.find(string)) >= 0]
    return min(found, default=None)


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """Decode ids as they stand, without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def end_ids_of(settings: Any) -> frozenset[int]:
    """Return the tokens that end a text, by a model's generation config."""
    eos = settings.eos_token_id
    if eos is None:
        return frozenset()
    return frozenset(map(int, eos if isinstance(eos, list | tuple) else [eos]))


class _Chooser(LogitsProcessor):
    """Applies each row's penalties, and draws for rows that sample: all but the drawn token become impossible.

    generate() can then always take the greedy path. Rows are beams within requests: row r belongs to request
    r // (rows / requests).
    """

    def __init__(self, decodings: Sequence[Decoding], seeds: Sequence[int], start: int, lengths: Sequence[int]) -> None:
        self._decodings = decodings
        self._start = start
        self._lengths = lengths
        self._sampled = [b for b, decoding in enumerate(decodings) if decoding.temperature > 0]
        self._streams = [generator_for(seeds[b]) for b in self._sampled]
        self._penalises = any(
            (decoding.repetition_penalty, decoding.frequency_penalty, decoding.presence_penalty) != (1.0, 0.0, 0.0)
            for decoding in decodings
        )
        self.alive = torch.ones(len(decodings), dtype=torch.bool)
        self.broken = torch.zeros(len(decodings), dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        n_beams = scores.shape[0] // len(self._decodings)
        self._note_broken(scores, n_beams)
        if self._penalises:
            scores = self._penalised(input_ids, scores, n_beams)
        if self._sampled:
            rows = torch.tensor(self._sampled, device=scores.device)
            tokens = draw(scores[rows], [self._decodings[b] for b in self._sampled], self._streams)
            scores = scores.clone()
            scores[rows] = -torch.inf
            scores[rows, tokens] = 0.0
        return scores

    def _note_broken(self, scores: torch.Tensor, n_beams: int) -> None:
        """Remember rows whose logits are NaN or +inf while they were still being written; -inf only forbids a token."""
        self.broken = self.broken.to(scores.device)
        self.alive = self.alive.to(scores.device)
        is_broken = (scores.isnan() | scores.isposinf()).any(-1)
        self.broken |= is_broken.view(-1, n_beams).any(-1) & self.alive

    def _penalised(self, input_ids: torch.Tensor, scores: torch.Tensor, n_beams: int) -> torch.Tensor:
        lengths = torch.tensor(self._lengths, device=scores.device).repeat_interleave(n_beams)[:, None]
        column = torch.arange(input_ids.shape[1], device=scores.device)[None, :]
        is_prompt = (column < self._start) & (column >= self._start - lengths)  # padding, on the left, is neither
        is_answer = (column >= self._start).expand(input_ids.shape)
        counts = torch.zeros_like(scores).scatter_add_(1, input_ids, is_answer.to(scores.dtype))
        prompt = torch.zeros_like(scores).scatter_add_(1, input_ids, is_prompt.to(scores.dtype))
        decodings = [decoding for decoding in self._decodings for _ in range(n_beams)]
        return penalise(scores, (counts + prompt) > 0, counts, decodings)


class _Stopper(StoppingCriteria):
    """Ends each row at its own stop strings, matched on the decoded end of what it has written."""

    def __init__(
        self,
        tokenizer: Any,
        stops: Sequence[tuple[str, ...]],
        start: int,
        chooser: _Chooser,
        end_ids: frozenset[int],
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._start = start
        self._chooser = chooser
        self._end_ids = end_ids
        # Every token but a special one decodes to at least one byte, so that a stop string of n bytes ends within n tokens.
        self._tails = [max((len(string.encode()) for string in stop), default=0) + SLACK_TOKENS for stop in stops]
        self._done: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **unused: Any) -> torch.Tensor:
        n_beams = input_ids.shape[0] // len(self._stops)
        lines = input_ids[:, self._start :][:, -max(self._tails) :].tolist()
        done = [self._is_done(row, row // n_beams, line, n_beams) for row, line in enumerate(lines)]
        if n_beams == 1:
            self._done.update(row for row, is_done in enumerate(done) if is_done)
            self._chooser.alive = torch.tensor([not is_done for is_done in done])
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _is_done(self, row: int, request: int, line: list[int], n_beams: int) -> bool:
        if n_beams == 1 and row in self._done:
            return True
        if line[-1] in self._end_ids:
            return n_beams == 1  # in a beam search, generate() itself decides about finished beams
        stop = self._stops[request]
        return bool(stop) and first_stop(text_of(self._tokenizer, line[-self._tails[request] :]), stop) is not None
