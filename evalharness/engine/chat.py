"""Chat turns to text, by a checkpoint's template."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from evalharness.engine.checkpoint import Checkpoint
from evalharness.engine.windows import Unanswerable
from evalharness.request import Message


def render_chat(checkpoint: Checkpoint, turns: Sequence[Message], *, is_over: bool = False) -> str:
    """Turn a chat into the text that the model reads.

    is_over: all turns are finished and nobody answers. Otherwise a last turn of the assistant is to be continued, and after any
    other one the assistant is to answer. Raises `Unanswerable` where there is no template, or where it refuses the turns.
    """
    if checkpoint.template is None:
        raise Unanswerable("chat turns need a chat template, and the model is registered with `chat_template: none`")
    is_begun = bool(turns) and turns[-1].role == "assistant" and not is_over
    try:
        return str(
            checkpoint.tokenizer.apply_chat_template(
                [{"role": turn.role, "content": turn.text} for turn in turns],
                chat_template=checkpoint.template,
                tokenize=False,
                add_generation_prompt=not is_begun and not is_over,
                continue_final_message=is_begun,
            )
        )
    except (jinja2.TemplateError, ValueError) as error:
        raise Unanswerable(f"the chat template refuses these turns: {error}") from error
