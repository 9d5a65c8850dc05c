"""Compare one task's run on both sides: what was asked, what was heard, what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from task_pairs import TaskPair

#: Both sides compute logits in float32 with batches of different shape, and lm-eval also takes the log-softmax and adds up the
#: tokens in float32. Against float64 that was seen to move one side by up to 1.5e-5 and the other by 1.0e-5, in opposite
#: directions (llama-tiny, ` 3` after a 194-token prompt: float64 -9.384182, evalharness -9.384192, one plain float32 row
#: -9.384173, lm-eval -9.384168), over two tokens. A wrong token, position or window moves a sum by whole nats.
LOGPROB_TOLERANCE_PER_TOKEN = 3e-5

#: Perplexities are exponentials of those sums, over words that have several tokens each.
PERPLEXITY_RELATIVE_TOLERANCE = 1e-4

LIKELIHOOD_METRICS = {"document_perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"}

#: lm-eval's regex filter answers this where it finds nothing; ours answers None.
PEER_NOT_FOUND = "[invalid]"


@dataclass
class TaskComparison:
    """Counts of what differs in one task; `n_...` without `differ` say how much was compared."""

    task: str
    kind: str
    n_documents: int = 0
    n_requests: int = 0
    n_prompts_differ: int = 0
    n_truncated: int = 0
    max_logprob_difference: float | None = None
    max_logprob_difference_per_token: float | None = None
    n_logprobs_differ: int = 0
    n_greedy_flags_differ: int = 0
    n_texts_differ: int = 0
    n_answers_differ: int = 0
    n_scores_differ: int = 0
    metrics: dict[str, dict[str, float | str]] = field(default_factory=dict)
    n_metrics_differ: int = 0
    first_differences: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether something was compared, and nothing differs."""
        counts = [value for key, value in asdict(self).items() if key.endswith("_differ")]
        return self.n_documents > 0 and not any(counts)

    def report(self) -> dict[str, Any]:
        """Return the comparison without the texts of the documents."""
        shown = {key: value for key, value in asdict(self).items() if key != "first_differences" and value is not None}
        return {**shown, "agrees": self.agrees}

    def differs(self, what: str, where: str, ours: object, theirs: object) -> None:
        """Count a difference, and keep the first of its kind for the console."""
        name = f"n_{what}_differ"
        if getattr(self, name) == 0:
            self.first_differences.append(f"{self.task} {where}: {what}\n  ours   {ours!r}\n  theirs {theirs!r}")
        setattr(self, name, getattr(self, name) + 1)


def compare_task(
    pair: TaskPair,
    record: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
    peer: Mapping[str, Any],
) -> TaskComparison:
    """Compare a task. record: our run.json; samples, requests: ours of this task; peer: a pass of lm-eval."""
    found = TaskComparison(pair.name, pair.kind)
    theirs = peer["samples"][pair.name]
    found.n_documents = len(samples)
    if len(samples) != len(theirs):
        found.differs("prompts", "documents", len(samples), len(theirs))
        return found
    compare_prompts(found, requests, theirs)
    for ours, their in zip(samples, theirs, strict=True):
        _compare_responses(found, ours, their)
        _compare_scores(found, pair, ours, their)
    _compare_metrics(found, pair, record, peer["results"][pair.name])
    return found


def compare_prompts(
    found: TaskComparison, requests: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> None:
    """Compare prompts and continuations byte for byte, in order of documents and slots."""
    asked = [_ours_as_arguments(request) for request in requests]
    peer_asked = [_theirs_as_arguments(found.kind, arguments) for their in theirs for arguments in their["arguments"]]
    found.n_requests = len(asked)
    if len(asked) != len(peer_asked):
        found.differs("prompts", "number of requests", len(asked), len(peer_asked))
    for request, ours, their in zip(requests, asked, peer_asked, strict=False):
        if [text.encode() for text in ours] != [text.encode() for text in their]:
            found.differs("prompts", f"document {request['document_id']} slot {request['slot']}", ours, their)


def _ours_as_arguments(request: Mapping[str, Any]) -> list[str]:
    return [request["prompt"], *([request["continuation"]] if request["kind"] == "score" else [])]


def _theirs_as_arguments(kind: str, arguments: Sequence[Any]) -> list[str]:
    return list(arguments[:1]) if kind in ("generate", "perplexity") else list(arguments)


def _compare_responses(found: TaskComparison, ours: Mapping[str, Any], their: Mapping[str, Any]) -> None:
    (responses,) = ours["responses"]  # one repeat
    for slot, (response, repeats) in enumerate(zip(responses, their["resps"], strict=True)):
        where = f"document {ours['document_id']} slot {slot}"
        (said,) = repeats
        found.n_truncated += response.get("truncated_tokens", 0) > 0
        if found.kind == "generate":
            if response["text"] != said:
                found.differs("texts", where, response["text"], said)
            continue
        logprob = said if found.kind == "perplexity" else said[0]
        _compare_logprob(found, where, response, float(logprob))
        if found.kind != "perplexity" and response["is_greedy"] != said[1]:
            found.differs("greedy_flags", where, response["is_greedy"], said[1])


def _compare_logprob(found: TaskComparison, where: str, response: Mapping[str, Any], theirs: float) -> None:
    difference = abs(response["logprob"] - theirs)
    each = difference / response["n_tokens"]
    found.max_logprob_difference = max(found.max_logprob_difference or 0.0, difference)
    found.max_logprob_difference_per_token = max(found.max_logprob_difference_per_token or 0.0, each)
    if not each <= LOGPROB_TOLERANCE_PER_TOKEN:
        found.differs("logprobs", where, response["logprob"], theirs)


def _compare_scores(found: TaskComparison, pair: TaskPair, ours: Mapping[str, Any], their: Mapping[str, Any]) -> None:
    where = f"document {ours['document_id']}"
    if pair.kind == "generate":
        answer = ours["answers"][0]
        (filtered,) = their["filtered_resps"]
        if (PEER_NOT_FOUND if answer is None else answer) != filtered:
            found.differs("answers", where, answer, filtered)
    for name, peer_name in pair.metrics.items():
        if name not in LIKELIHOOD_METRICS:
            score = ours["scores"][name][0] / ours["scores"][name][1]
            if score != their[peer_name]:
                found.differs("scores", f"{where} {name}", score, their[peer_name])


def _compare_metrics(
    found: TaskComparison, pair: TaskPair, record: Mapping[str, Any], results: Mapping[str, float]
) -> None:
    for name, ours, theirs in _values(pair, record, results):
        found.metrics[name] = {"ours": ours, "theirs": theirs, "their_name": pair.metrics[name]}
        # A mean of zeros and ones is summed exactly; only the division may round, and both divide the same numbers.
        tolerance = PERPLEXITY_RELATIVE_TOLERANCE * abs(theirs) if name in LIKELIHOOD_METRICS else 1e-12
        if not abs(ours - theirs) <= tolerance:
            found.differs("metrics", name, ours, theirs)


def _values(
    pair: TaskPair, record: Mapping[str, Any], results: Mapping[str, float]
) -> Iterator[tuple[str, float, float]]:
    (task,) = [task for task in record["tasks"] if task["name"] == pair.name]
    values = {metric["name"]: metric["value"] for metric in task["metrics"]}
    for name, peer_name in pair.metrics.items():
        yield name, values[name], results[peer_name]
