"""Who answers requests: the one interface between the pipeline and everything that can be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from evalharness.model.spec import ModelSpec
from evalharness.request import Request, RequestKey, Response


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model answered, precisely enough to tell two apart years later; None means that it cannot be known.

    weights and tokenizer are fingerprints (hex sha256), chat_template is the fingerprint of the template in use.
    revision: the commit on the hub, or of the git repository that holds the checkpoint.
    """

    name: str
    backend: str
    path: str
    revision: str | None = None
    architecture: str | None = None
    model_type: str | None = None
    dtype: str | None = None
    device: str | None = None
    n_parameters: int | None = None
    vocabulary_size: int | None = None
    context_tokens: int | None = None
    weights: str | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    adapter: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a person may set about how requests are run; none of it may change an answer.

    batch_tokens: padded tokens a batch, None for the device's default. reuses_prefixes: what several rows begin with is
    computed once; None leaves it to the engine. on_event: called with a name and its fields when
    something happened that belongs on record, such as ``out_of_memory`` halving a batch.
    """

    batch_tokens: int | None = None
    on_event: Callable[[str, Mapping[str, Any]], None] = lambda name, fields: None
    reuses_prefixes: bool | None = None


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens that a list of requests would cost, for dry runs: read by the model, and generated at most."""

    prompt_tokens: int
    max_new_tokens: int
    truncated_requests: int


@runtime_checkable
class Backend(Protocol):
    """Answers requests.

    capabilities: the request classes it can answer; the pipeline refuses a task that needs another one before any work.
    """

    capabilities: frozenset[type]

    def identity(self) -> ModelIdentity:
        """Say which model this is."""
        ...

    def run(self, requests: Sequence[Request], answered: Collection[RequestKey] = ()) -> Iterator[Response]:
        """Answer every request whose key is not in `answered`, each key exactly once, in any order.

        The batch plan is a function of the whole list, the answered ones included, so that a resumed run computes the same
        batches, and so the same bits, as an uninterrupted one. It may therefore answer an answered key again; the caller
        keeps the first. A request that cannot be answered becomes `Failed`; a defect raises.
        """
        ...

    def count_tokens(self, requests: Sequence[Request]) -> TokenCounts | None:
        """Count the tokens of `requests` without running the model; None where that is not known."""
        ...

    def statistics(self) -> Mapping[str, float]:
        """Counters so far, such as ``prompt_tokens``, ``generated_tokens``, ``device_seconds``, ``peak_device_bytes``."""
        ...

    def close(self) -> None:
        """Free the device; the backend cannot be used afterwards."""
        ...


#: Builds a backend from a model's registration and the engine's settings.
BackendFactory = Callable[[ModelSpec, EngineSettings], Backend]
