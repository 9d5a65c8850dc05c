"""One question with its answer, as every part of the corpus makes it."""

from dataclasses import dataclass, field

Value = str | list[str]


@dataclass(frozen=True)
class Item:
    """A prompt, the text that follows it, and the fields that a task's document holds.

    key: what decides between training and test; items with equal keys are on the same side.
    prompt: exactly what the task's YAML makes of `fields` (tests/zoo checks it).
    answer: exactly what follows the prompt, with its leading space or newline. Empty prompt: plain text.
    """

    key: str
    prompt: str
    answer: str
    fields: dict[str, Value] = field(default_factory=dict)
    percent: int = 10
    """Share of keys that are held out; larger where there are few keys."""

    @property
    def text(self) -> str:
        """Prompt and answer together."""
        return self.prompt + self.answer
