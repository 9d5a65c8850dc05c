"""What a metric reads from a sample: its answer, its references, the log-probabilities of its last step."""

from __future__ import annotations

from evalharness.errors import EngineError
from evalharness.request import Response, Sample, Scored, TextScored


def answer_of(sample: Sample) -> str | None:
    """Return the answer of the first repeat; None where the filters found none."""
    return sample.answers[0]


def references_of(sample: Sample) -> tuple[str, ...]:
    """Return the correct texts.

    Raises ValueError if there are none: nothing can be right then, and 0 would be read as the model's fault.
    """
    if not sample.references:
        raise ValueError("the document has no reference to compare the answer with")
    return sample.references


def last_step(sample: Sample) -> tuple[Response, ...]:
    """Return the responses of the first repeat without those of earlier steps, in slot order."""
    return sample.responses[0][sample.n_step_slots :]


def scored(response: Response) -> Scored:
    """Return `response`, known to be the log-probability of a continuation; raises EngineError if it is not."""
    if not isinstance(response, Scored):
        raise EngineError(
            f"{response.key}: a metric needs the log-probability of a continuation, not {type(response).__name__}"
        )
    return response


def likelihood(response: Response) -> Scored | TextScored:
    """Return `response`, known to be a log-probability; raises EngineError if it is not."""
    if not isinstance(response, Scored | TextScored):
        raise EngineError(f"{response.key}: a metric needs a log-probability, not {type(response).__name__}")
    return response
