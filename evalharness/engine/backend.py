"""The in-process transformers backend: encode, plan, run, answer."""

from __future__ import annotations

import gc
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from evalharness.backend.protocol import Backend, EngineSettings, ModelIdentity, TokenCounts
from evalharness.engine.checkpoint import Checkpoint, Kind, open_checkpoint
from evalharness.engine.classify import classifier_facts, classify_batch, reads_padding
from evalharness.engine.compress import compress_batch
from evalharness.engine.decode import Continuation, generate_batch
from evalharness.engine.encode import CompressJob, Encoder, GenerateJob, ScoreJob
from evalharness.engine.identity import identify, weights_of
from evalharness.engine.load import LoadedModel, is_out_of_memory, load_model
from evalharness.engine.packed_model import PackedModel, open_packed
from evalharness.engine.pairs import ClassifyJob
from evalharness.engine.plan import (
    Batch,
    ClassifyRow,
    CompressRow,
    GenerateRow,
    ScoreRow,
    batches,
    classify_rows,
    compress_rows,
    generate_rows,
    is_answered,
    score_rows,
)
from evalharness.engine.respond import classify_response, compress_response, generate_response, score_response
from evalharness.engine.score import QueryScore, score_batch
from evalharness.engine.score_packs import score_within_memory
from evalharness.engine.waves import WaveLimits, plan_waves
from evalharness.engine.write import WaveWriter, can_be_written
from evalharness.errors import EngineError
from evalharness.model.spec import ModelSpec
from evalharness.request import (
    Classify,
    Compress,
    Failed,
    Generate,
    Request,
    RequestKey,
    Response,
    Score,
    ScoreText,
)

_DEFAULT_BATCH_TOKENS = {"cuda": 32768}
_DEFAULT_BATCH_TOKENS_ELSEWHERE = 4096
#: Tokens of one forward: enough for full speed of the CPU's matrix products, few enough that its tensors stay small.
_DEFAULT_PACK_TOKENS = 1024
#: A row of compression counts for at least this many tokens: each holds several tables of the whole vocabulary, however short.
_LEAST_COMPRESS_WIDTH = 128

#: What each kind of model can be asked.
_CAPABILITIES: dict[Kind, frozenset[type]] = {
    "decoder": frozenset({Generate, Score, ScoreText, Compress}),
    "encoder_decoder": frozenset({Generate, Score, ScoreText}),
    "masked": frozenset({Score, ScoreText}),
    "classifier": frozenset({Classify}),
}

R = TypeVar("R", ScoreRow, GenerateRow, CompressRow, ClassifyRow)
A = TypeVar("A")


def open_backend(spec: ModelSpec, settings: EngineSettings) -> Backend:
    """Open a checkpoint; its weights are read when the first request needs them. Raises `ModelError`."""
    return TransformersBackend(spec, settings)


class TransformersBackend:
    """Answers requests with a transformers model in this process."""

    def __init__(self, spec: ModelSpec, settings: EngineSettings) -> None:
        self._spec = spec
        self._settings = settings
        self._checkpoint: Checkpoint = open_checkpoint(spec)
        self._encoder = Encoder(self._checkpoint)
        self._loaded: LoadedModel | None = None
        self._counters: defaultdict[str, float] = defaultdict(float)
        self._identity: ModelIdentity | None = None
        self._packed: PackedModel | str | None = None
        self._most_pack_tokens = 1 << 30  # tokens a pack may have, lowered when memory runs out
        self._most_tokens = math.inf  # padded tokens a batch may have, lowered when memory runs out
        self.capabilities: frozenset[type] = _CAPABILITIES[self._checkpoint.kind]

    def identity(self) -> ModelIdentity:
        """Say which model this is; reads headers of the weight files, not the weights."""
        if self._identity is None:
            files = weights_of(self._checkpoint)
            if not files:  # a hub id whose weights are not in the cache yet
                self._model()
                files = weights_of(self._checkpoint)
            self._identity = identify(self._checkpoint, files, self._batch_tokens())
        return self._identity

    def run(self, requests: Sequence[Request], answered: Collection[RequestKey] = ()) -> Iterator[Response]:
        """Answer every request whose key is not in `answered`; see `Backend.run`."""
        done = frozenset(answered)
        _refuse_duplicates(requests)
        score_jobs: list[ScoreJob] = []
        generate_jobs: list[GenerateJob] = []
        compress_jobs: list[CompressJob] = []
        classify_jobs: list[ClassifyJob] = []
        for outcome in self._encoder.encode(requests):
            if isinstance(outcome, ScoreJob):
                score_jobs.append(outcome)
            elif isinstance(outcome, CompressJob):
                compress_jobs.append(outcome)
            elif isinstance(outcome, ClassifyJob):
                classify_jobs.append(outcome)
            elif isinstance(outcome, Failed):
                if outcome.key not in done:
                    yield outcome
            else:
                generate_jobs.append(outcome)
        yield from self._score(score_jobs, done)
        yield from self._generate(generate_jobs, done)
        yield from self._compress(compress_jobs, done)
        yield from self._classify(classify_jobs, done)

    def count_tokens(self, requests: Sequence[Request]) -> TokenCounts:
        """Count tokens without reading the weights: `prompt_tokens` are what the model reads, identical work once."""
        prompt_tokens = new_tokens = truncated = 0
        score_jobs: list[ScoreJob] = []
        classify_jobs: list[ClassifyJob] = []
        for outcome in self._encoder.encode(requests):
            if isinstance(outcome, Failed):
                continue
            if isinstance(outcome, CompressJob):
                prompt_tokens += 2 * outcome.n_tokens  # to encode and to decode
                continue
            truncated += outcome.truncated_tokens > 0
            if isinstance(outcome, ScoreJob):
                score_jobs.append(outcome)
            elif isinstance(outcome, ClassifyJob):
                classify_jobs.append(outcome)
            else:
                prompt_tokens += len(outcome.ids)
                new_tokens += outcome.request.decoding.max_new_tokens
        widths = [row.width for row in score_rows(score_jobs)[0]] + [row.width for row in classify_rows(classify_jobs)]
        return TokenCounts(prompt_tokens + sum(widths), new_tokens, truncated)

    def statistics(self) -> Mapping[str, float]:
        """Counters so far: tokens read, generated and scored, batches, and seconds on the device and in loading."""
        if self._checkpoint.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._checkpoint.device)
            return {**self._counters, "peak_device_bytes": float(peak)}
        return dict(self._counters)

    def close(self) -> None:
        """Free the device."""
        self._loaded = None
        self._packed = None
        gc.collect()
        self._free_cache()

    # The four kinds of work.

    def _score(self, jobs: Sequence[ScoreJob], done: frozenset[RequestKey]) -> Iterator[Response]:
        rows, places = score_rows(jobs)
        job_of = {job.request.key: job for job in jobs}
        waiting = {key: len({place.row for place in found}) for key, found in places.items()}
        answers: dict[int, list[QueryScore] | str] = {}
        for index, answer in self._score_rows(rows, done):
            answers[index] = answer
            self._counters["prompt_tokens"] += rows[index].width
            self._counters["scored_tokens"] += sum(len(targets) for _, targets in rows[index].queries)
            for key in rows[index].keys:
                waiting[key] -= 1
                if not waiting[key] and key not in done:
                    yield score_response(job_of[key], places[key], answers)

    def _score_rows(
        self, rows: Sequence[ScoreRow], done: frozenset[RequestKey]
    ) -> Iterator[tuple[int, list[QueryScore] | str]]:
        """Score rows in packs where the model can be asked packs, the others in padded batches."""
        if is_answered(rows, done):
            return
        model = self._packed_model()
        fitting = [i for i, row in enumerate(rows) if model is not None and row.width <= model.longest_tokens]
        others = sorted(set(range(len(rows))) - set(fitting))
        if model is not None and fitting:
            asked = [rows[i] for i in fitting]
            left = {i for i, row in enumerate(asked) if not is_answered([row], done)}
            for i, scores in score_within_memory(
                model, asked, frozenset(left), self._pack_tokens(), self._counters, self._note_small_packs
            ):
                left.discard(i)
                yield fitting[i], scores
            # What gave no finite number, or did not fit, is asked once more, a row at a time: no other row's bits change.
            for i in sorted(left):
                yield from self._run_batch(Batch((fitting[i],), (asked[i],)), score_batch)
        for batch in batches(
            [rows[i] for i in others], budget_tokens=self._batch_tokens(), width=lambda row: row.width
        ):
            if not is_answered(batch.rows, done):
                named = Batch(tuple(others[i] for i in batch.indices), batch.rows)
                yield from self._run_batch(named, score_batch)

    def _generate(self, jobs: Sequence[GenerateJob], done: frozenset[RequestKey]) -> Iterator[Response]:
        job_of = {job.request.key: job for job in jobs}
        rows = generate_rows(jobs)
        for index, answer in self._generate_rows(rows, done):
            row = rows[index]
            self._counters["prompt_tokens"] += len(row.job.ids)
            self._counters["generated_tokens"] += len(answer.ids) if isinstance(answer, Continuation) else 0
            # Prompts that were cut to the same tokens share a row, yet each has its own count of what was cut.
            yield from (generate_response(job_of[key], answer) for key in row.keys if key not in done)

    def _generate_rows(
        self, rows: Sequence[GenerateRow], done: frozenset[RequestKey]
    ) -> Iterator[tuple[int, Continuation | str | None]]:
        """Write rows in slots where the model can be asked packs, the others in padded batches."""
        if is_answered(rows, done):
            return
        model = self._packed_model()
        fitting = [i for i, row in enumerate(rows) if model is not None and can_be_written(row, model.longest_tokens)]
        others = sorted(set(range(len(rows))) - set(fitting))

        def generate(loaded: LoadedModel, part: Sequence[GenerateRow]) -> Sequence[Continuation | None]:
            return generate_batch(loaded, self._checkpoint.tokenizer, part)

        if model is not None and fitting:
            left = {i for i in fitting if not is_answered([rows[i]], done)}
            for index, answer in self._write(model, rows, fitting, left):
                left.discard(index)
                if answer is None:  # what is NaN in one slot reaches the others: only alone is it known whose it was
                    yield from self._run_batch(Batch((index,), (rows[index],)), generate)
                else:
                    yield index, answer
            others = sorted({*others, *left})
        equal_lengths = self._model().refuses_left_padding

        def group(row: GenerateRow) -> tuple[int, ...]:
            decoding = row.job.request.decoding
            # With equal max_new_tokens, padded rows stay within the context as each row does alone.
            return decoding.beams, decoding.max_new_tokens, len(row.job.ids) if equal_lengths else 0

        chosen = [rows[i] for i in others]
        for batch in batches(chosen, budget_tokens=self._batch_tokens(), width=lambda row: row.width, group=group):
            if not is_answered(batch.rows, done):
                named = Batch(tuple(others[i] for i in batch.indices), batch.rows)
                yield from self._run_batch(named, generate)

    def _write(
        self, model: PackedModel, rows: Sequence[GenerateRow], fitting: Sequence[int], wanted: Collection[int]
    ) -> Iterator[tuple[int, Continuation | None]]:
        """Write rows wave by wave; the rest of a wave that runs out of memory is left out."""
        prompts = [rows[i].job.ids for i in fitting]
        new_tokens = [rows[i].job.request.decoding.max_new_tokens for i in fitting]
        for wave in plan_waves(prompts, new_tokens, WaveLimits()):
            if not any(fitting[i] in wanted for i in wave.rows):
                continue
            named = replace(wave, rows=tuple(fitting[i] for i in wave.rows))
            writer = WaveWriter(model, self._checkpoint.tokenizer, rows, named, self._counters)
            try:
                yield from writer.write(self._pack_tokens())
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not is_out_of_memory(error):
                    raise
                self._note_small_packs(self._pack_tokens(), self._pack_tokens())

    def _compress(self, jobs: Sequence[CompressJob], done: frozenset[RequestKey]) -> Iterator[Response]:
        rows, places = compress_rows(jobs)
        job_of = {job.request.key: job for job in jobs}
        waiting = {key: len(set(found)) for key, found in places.items()}
        sizes: dict[int, int | str] = {}
        context = self._checkpoint.context_tokens

        def width(row: CompressRow) -> int:
            return max(row.width, _LEAST_COMPRESS_WIDTH)

        for batch in batches(rows, budget_tokens=self._batch_tokens(), width=width):
            if is_answered(batch.rows, done):
                continue
            for index, size in self._run_batch(batch, lambda model, part: compress_batch(model, part, context)):
                sizes[index] = size
                self._counters["prompt_tokens"] += 2 * rows[index].width
                for key in rows[index].keys:
                    waiting[key] -= 1
                    if not waiting[key] and key not in done:
                        yield compress_response(job_of[key], [sizes[row] for row in places[key]])

    def _classify(self, jobs: Sequence[ClassifyJob], done: frozenset[RequestKey]) -> Iterator[Response]:
        rows = classify_rows(jobs)
        if is_answered(rows, done):
            return
        job_of = {job.request.key: job for job in jobs}
        config, context = self._checkpoint.config, self._checkpoint.context_tokens
        labels = tuple(classifier_facts(self._checkpoint)["labels"])
        equal_lengths = reads_padding(self._model(), min(rows, key=lambda row: row.width), context)
        # The heads of encoder-decoders look at end tokens, and refuse a batch of which not all rows have as many.
        end = config.eos_token_id if config.is_encoder_decoder else None

        def group(row: ClassifyRow) -> tuple[int, ...]:
            return row.width if equal_lengths else 0, 0 if end is None else row.ids.count(end)

        for batch in batches(rows, budget_tokens=self._batch_tokens(), width=lambda row: row.width, group=group):
            if is_answered(batch.rows, done):
                continue
            for index, logits in self._run_batch(batch, classify_batch):
                self._counters["prompt_tokens"] += rows[index].width
                for key in rows[index].keys:
                    if key not in done:
                        yield classify_response(job_of[key], logits, labels)

    def _run_batch(
        self, batch: Batch[R], compute: Callable[[LoadedModel, Sequence[R]], Sequence[A]]
    ) -> Iterator[tuple[int, A | str]]:
        """Compute a batch, in halves where memory does not suffice; a row that does not fit alone gives its reason."""
        loaded = self._model()
        pending = [list(zip(batch.indices, batch.rows, strict=True))]
        while pending:
            part = pending.pop()
            n_tokens = len(part) * max(row.width for _, row in part)
            if len(part) > 1 and n_tokens > self._most_tokens:
                pending += [part[len(part) // 2 :], part[: len(part) // 2]]
                continue
            began = time.perf_counter()
            try:
                results = compute(loaded, [row for _, row in part])
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if not is_out_of_memory(error):
                    raise
                results = None
            # Outside the handler, for the exception's traceback keeps the failed forward's tensors alive.
            self._counters["device_seconds"] += time.perf_counter() - began
            if results is not None:
                self._counters["batches"] += 1
                self._counters["computed_tokens"] += n_tokens
                yield from zip((index for index, _ in part), results, strict=True)
                continue
            self._note_out_of_memory(len(part), n_tokens)
            if len(part) == 1:
                yield part[0][0], f"out of memory: a row of {n_tokens} tokens does not fit the device alone"
            else:
                pending += [part[len(part) // 2 :], part[: len(part) // 2]]

    def _note_out_of_memory(self, n_rows: int, n_tokens: int) -> None:
        self._counters["out_of_memory"] += 1
        if n_rows > 1:
            self._most_tokens = min(self._most_tokens, n_tokens / 2)
        self._free_cache()
        self._settings.on_event("out_of_memory", {"rows": n_rows, "padded_tokens": n_tokens, "next_rows": n_rows // 2})

    def _note_small_packs(self, n_tokens: int, next_tokens: int) -> None:
        self._counters["out_of_memory"] += 1
        self._most_pack_tokens = min(self._most_pack_tokens, next_tokens)
        self._free_cache()
        self._settings.on_event("out_of_memory", {"pack_tokens": n_tokens, "next_pack_tokens": next_tokens})

    def _free_cache(self) -> None:
        if self._checkpoint.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    # What is read once.

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            began = time.perf_counter()
            self._loaded = load_model(self._checkpoint)
            self._counters["load_seconds"] += time.perf_counter() - began
        return self._loaded

    def _packed_model(self) -> PackedModel | None:
        """Return the model on the packed path; None, and an event with the reason, where it cannot be asked packs."""
        if self._packed is None:
            reuses = self._settings.reuses_prefixes
            if reuses is None:
                reuses = self._checkpoint.device.type == "cpu"  # measured and proven there
            self._packed = open_packed(self._model()) if reuses else "prefixes are not to be reused"
            self._counters["packed"] = float(isinstance(self._packed, PackedModel))
            if isinstance(self._packed, str):
                self._settings.on_event("padded_batches", {"reason": self._packed})
        return self._packed if isinstance(self._packed, PackedModel) else None

    def _pack_tokens(self) -> int:
        return min(self._settings.batch_tokens or _DEFAULT_PACK_TOKENS, self._most_pack_tokens)

    def _batch_tokens(self) -> int:
        default = _DEFAULT_BATCH_TOKENS.get(self._checkpoint.device.type, _DEFAULT_BATCH_TOKENS_ELSEWHERE)
        return self._settings.batch_tokens or default


def _refuse_duplicates(requests: Sequence[Request]) -> None:
    keys = Counter(request.key for request in requests)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise EngineError(
            f"{len(twice)} request keys occur twice, such as {twice[0]}: their answers could not be told apart"
        )
