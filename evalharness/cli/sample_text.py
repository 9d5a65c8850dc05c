"""A stored sample as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalharness.escaping import inert

#: A longer text is shown by its beginning and its end, this many characters together.
SHOWN_CHARACTERS = 2000


def sample_text(sample: Mapping[str, Any], *, full: bool = False) -> str:
    """Return one stored sample, as `ResultStore.samples` yields it, as lines of text; full: long texts as a whole."""
    return block(f"{sample['task']} · document {sample['document_id']}", sample_parts(sample, full=full))


def block(title: str, parts: Mapping[str, str]) -> str:
    """Return named texts below a title, those that are empty left out."""
    lines = [f"--- {title}"]
    for name, text in parts.items():
        if text:
            lines += [f"{name}:", *("  " + line for line in text.split("\n"))]
    return inert("\n".join(lines))


def sample_parts(sample: Mapping[str, Any], *, full: bool = False) -> dict[str, str]:
    """Return what is known of one stored sample as texts by name; they are not inert yet."""

    def shown(text: str) -> str:
        return text if full else _cut(text)

    prompt = sample["prompt"]
    if not isinstance(prompt, str):
        prompt = "\n".join(f"<{message['role']}> {message['text']}" for message in prompt)
    return {
        "prompt": shown(prompt),
        "choices": "\n".join(sample["choices"]),
        "references": "\n".join(map(shown, sample["references"])),
        "responses": "\n".join(_response_text(each, shown) for repeat in sample["responses"] for each in repeat),
        "answers": "\n".join("(none)" if answer is None else shown(answer) for answer in sample["answers"]),
        "executions": "\n".join(_execution_text(each) for each in sample["executions"]),
        "judgements": "\n".join(
            f"{label}: {_response_text(each, shown)}"
            for label, answers in sorted(sample["judgements"].items())
            for answer in answers
            for each in answer
        ),
        "error": sample["error"] or "",
        "scores": "\n".join(f"{name}: {row}" for name, row in sorted(sample["scores"].items())),
    }


def _cut(text: str) -> str:
    """Leave out the middle of a long text: a prompt's question is at its end."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    half = SHOWN_CHARACTERS // 2
    left_out = f"[... {len(text) - 2 * half:,} of {len(text):,} characters are left out; --full shows them ...]"
    return f"{text[:half]}\n{left_out}\n{text[-half:]}"


def _execution_text(execution: Mapping[str, Any]) -> str:
    said = f": {execution['detail']}" if execution["detail"] else ""
    return f"{execution['verdict']}{said}  ({execution['seconds']:.2f} s)"


def _response_text(response: Mapping[str, Any], shown: Callable[[str], str]) -> str:
    match response["kind"]:
        case "generated":
            return f"{shown(response['text'])}  ({response['n_tokens']} tokens, stopped by {response['stopped_by']})"
        case "classified":
            logits = zip(response["labels"], response["logits"], strict=True)
            return ", ".join(f"{shown(label)}: logit {logit:.6g}" for label, logit in logits)
        case "compressed":
            return f"{response['n_compressed_bytes']} bytes of {response['n_bytes']}"
        case "failed":
            return f"failed: {response['error']}"
        case _:
            return f"logprob {response['logprob']:.6g} over {response['n_tokens']} tokens"
