"""Log-probabilities of given tokens: one forward a batch, float32 log-softmax where it is asked for, sums in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evalharness.engine.load import LoadedModel
from evalharness.engine.plan import ScoreRow
from evalharness.engine.texts import Ids

#: Elements of a float32 logit chunk, 128 MB: bounds the copy that the upcast makes.
_CHUNK_ELEMENTS = 1 << 25


@dataclass(frozen=True, slots=True)
class QueryScore:
    """The answer to one query of a row. is_greedy: every target was the most probable token. NaN logits give NaN."""

    logprob: float
    is_greedy: bool


def score_batch(loaded: LoadedModel, rows: Sequence[ScoreRow]) -> list[list[QueryScore]]:
    """Score every query of every row with one forward; the outer list follows `rows`, the inner one its queries."""
    spots: dict[tuple[int, int], int] = {}  # (row, position) -> index among the positions whose distribution is needed
    spot_of: list[int] = []  # one entry a target token, over all rows and queries in order
    targets: list[int] = []
    for b, row in enumerate(rows):
        for at, wanted in row.queries:
            spot_of.extend(spots.setdefault((b, position), len(spots)) for position in range(at, at + len(wanted)))
            targets.extend(wanted)
    with torch.inference_mode():
        logprobs, is_best = _log_softmax(loaded, rows, list(spots), spot_of, targets)
    scores: list[list[QueryScore]] = []
    done = 0
    for row in rows:
        line = []
        for _, wanted in row.queries:
            part = slice(done, done + len(wanted))
            line.append(QueryScore(math.fsum(logprobs[part]), all(is_best[part])))
            done += len(wanted)
        scores.append(line)
    return scores


def _log_softmax(
    loaded: LoadedModel, rows: Sequence[ScoreRow], spots: list[tuple[int, int]], spot_of: list[int], targets: list[int]
) -> tuple[list[float], list[bool]]:
    """Return the log-probabilities of n targets, in float64, and whether each is the argmax."""
    positions = [position for _, position in spots]
    logits, columns = _logits(loaded, rows, positions)
    b = torch.tensor([row for row, _ in spots], device=logits.device)
    column = torch.tensor(columns, device=logits.device)
    spot = torch.tensor(spot_of, device=logits.device)
    target = torch.tensor(targets, device=logits.device)
    greatest = torch.empty(len(spots), dtype=torch.float32, device=logits.device)
    log_sum = torch.empty_like(greatest)
    best = torch.empty(len(spots), dtype=torch.long, device=logits.device)
    step = max(1, _CHUNK_ELEMENTS // logits.shape[-1])
    for start in range(0, len(spots), step):
        part = slice(start, start + step)
        chunk = logits[b[part], column[part]].float()
        greatest[part], best[part] = chunk.max(-1)
        log_sum[part] = (chunk - greatest[part, None]).exp().sum(-1).log()
    chosen = logits[b[spot], column[spot], target].float()
    # The greatest logit is taken out before the sum and in float64: float32 cannot hold a logsumexp near 100 to 1e-6.
    logprobs = (chosen.cpu().double() - greatest[spot].cpu().double()) - log_sum[spot].cpu().double()
    return logprobs.tolist(), (best[spot] == target).tolist()


def _logits(loaded: LoadedModel, rows: Sequence[ScoreRow], positions: list[int]) -> tuple[torch.Tensor, list[int]]:
    """Run the model on right-padded rows; returns logits (B, K, V) and the column in K of each of `positions`."""
    inputs, mask = padded([row.inputs for row in rows], loaded)
    arguments: dict[str, torch.Tensor] = {}
    if loaded.keeps_logits:
        kept = sorted(set(positions))
        column_of = {position: column for column, position in enumerate(kept)}
        columns = [column_of[position] for position in positions]
        arguments["logits_to_keep"] = torch.tensor(kept, device=loaded.device)
    else:
        columns = positions
    if loaded.kind == "encoder_decoder":
        source, source_mask = padded([row.source for row in rows], loaded)
        # The decoder is causal, so that padding on its right needs no mask of its own.
        output = loaded.model(
            input_ids=source, attention_mask=source_mask, decoder_input_ids=inputs, use_cache=False, **arguments
        )
    elif loaded.kind == "decoder":
        output = loaded.model(input_ids=inputs, attention_mask=mask, use_cache=False, **arguments)
    else:
        output = loaded.model(input_ids=inputs, attention_mask=mask, **arguments)
    logits: torch.Tensor = output.logits
    if not loaded.keeps_logits:
        # Prompt tuning puts learned tokens before the input, and their logits with them.
        extra = logits.shape[1] - inputs.shape[1]
        columns = [column + extra for column in columns]
    return logits, columns


def padded(lines: Sequence[Ids], loaded: LoadedModel, *, on_left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, both (B, T) int64 on the model's device."""
    width = max(map(len, lines))
    ids = torch.full((len(lines), width), loaded.pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(lines), width), dtype=torch.long)
    for b, line in enumerate(lines):
        where = slice(width - len(line), width) if on_left else slice(0, len(line))
        ids[b, where] = torch.tensor(line, dtype=torch.long)
        mask[b, where] = 1
    return ids.to(loaded.device), mask.to(loaded.device)
