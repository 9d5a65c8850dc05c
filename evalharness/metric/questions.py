"""How a metric words its questions to a model: templates of the task's own language, and what they see of a sample."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from evalharness.request import Prompt, Sample, plain_prompt
from evalharness.task.templates import Template


def question_context(sample: Sample) -> dict[str, Any]:
    """Return what every question sees: names of ours are stronger than columns, which `document` holds as they are."""
    steps = {
        step.name: {"prompt": _shown(step.prompt), "response": step.response, "answer": step.answer or ""}
        for step in (sample.steps[0] if sample.steps else ())
    }
    return {
        **sample.document.fields,
        "document": sample.document.fields,
        "prompt": _shown(sample.prompt),
        "reference": sample.references[0] if sample.references else "",
        "references": list(sample.references),
        **({"steps": steps} if steps else {}),
    }


def _shown(prompt: Prompt) -> str:
    """Return a prompt as a judge reads it: a single turn is its text, whether the model used chat or not."""
    return prompt[0].text if not isinstance(prompt, str) and len(prompt) == 1 else plain_prompt(prompt)


@cache
def template_of(text: str, field: str) -> Template:
    """Return the template that a metric's parameter `field` holds. Raises TaskError if it is not valid Jinja."""
    return Template(text, where="", field=field)


def short_hash(text: str | None) -> str:
    """Return 12 hex digits that stand for a text in a signature, or ``none``."""
    return "none" if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
