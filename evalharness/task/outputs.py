"""What is asked of the model, and how its text becomes an answer: outputs, filters, steps, execution."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evalharness.request import Decoding, OutputKind, Windows


class Part(BaseModel):
    """Base of every part of a task file: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class GenerateSpec(Part):
    """Free text; the fields are those of `Decoding`, and repeats: how often each document is asked (for sampling)."""

    max_new_tokens: int = Field(default=256, gt=0, strict=True)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    temperature: float = Field(default=0.0, ge=0)
    top_k: int = Field(default=0, ge=0, strict=True)
    top_p: float = Field(default=1.0, gt=0, le=1)
    beams: int = Field(default=1, ge=1, strict=True)
    repetition_penalty: float = Field(default=1.0, gt=0)
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeats: int = Field(default=1, ge=1, strict=True)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_may_be_said_shortly(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _nothing_contradicts(self) -> GenerateSpec:
        if self.temperature == 0:
            idle = [name for name in ("top_k", "top_p") if getattr(self, name) != type(self).model_fields[name].default]
            if idle:
                raise ValueError(
                    f"{' and '.join(idle)} have no effect at temperature 0\nset a temperature, or remove them"
                )
            if self.repeats > 1:
                raise ValueError(
                    "repeats > 1 at temperature 0 would ask the same question again\nset a temperature, or repeats: 1"
                )
        elif self.beams > 1:
            raise ValueError(
                "beam search (beams > 1) and sampling (temperature > 0) exclude each other\nremove one of them"
            )
        return self

    def decoding(self) -> Decoding:
        """Return the request's form of these settings."""
        return Decoding(**self.model_dump(exclude={"repeats"}))


class ChooseSpec(Part):
    """The most probable of the choices, each scored as a continuation of the prompt."""


class ScoreSpec(Part):
    """The log-probability of the (first) reference as a continuation of the prompt."""


class PerplexitySpec(Part):
    """The log-probability of the whole prompt text; max_tokens and stride as in `Windows`."""

    max_tokens: int | None = Field(default=None, gt=1, strict=True)
    stride: int | None = Field(default=None, gt=0, strict=True)

    @model_validator(mode="after")
    def _windows_overlap_or_touch(self) -> PerplexitySpec:
        if self.max_tokens is not None and self.stride is not None and self.stride > self.max_tokens:
            raise ValueError(f"a stride of {self.stride} skips tokens of windows of {self.max_tokens}\nmake it smaller")
        return self

    def windows(self) -> Windows:
        """Return the request's form of these settings."""
        return Windows(self.max_tokens, self.stride)


class OutputSpec(Part):
    """What is asked of the model: exactly one of four."""

    generate: GenerateSpec | None = None
    choose: ChooseSpec | None = None
    score: ScoreSpec | None = None
    perplexity: PerplexitySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_bare_word_is_enough(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {data: {}}
        if isinstance(data, dict):
            return {key: {} if value is None and len(data) == 1 else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> OutputSpec:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            shown = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of generate, choose, score and perplexity, found {shown}")
        return self

    @property
    def kind(self) -> OutputKind:
        """Name the output that was given."""
        kinds: tuple[OutputKind, ...] = ("generate", "choose", "score", "perplexity")
        return next(kind for kind in kinds if getattr(self, kind) is not None)


def named_mapping(value: Any) -> Any:
    """Read ``word`` or ``{word: {parameters}}`` as a name with parameters."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1 and "name" not in value:
        ((name, parameters),) = value.items()
        return {"name": name, "parameters": parameters or {}}
    return value


class FilterSpec(Part):
    """One step from response text to answer: a bare name, or ``{name: {parameters}}``."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    _short = model_validator(mode="before")(named_mapping)


class StepSpec(Part):
    """One of several prompts; the last one's answer counts.

    prompt sees the document and ``steps.<name>.prompt``, ``.response`` and ``.answer`` of earlier steps. continues: this
    prompt goes on after the former step's prompt and response, as text or as the next turn of the chat. filters: from the
    response to the answer; ``[strip]`` if absent, ``[]`` for the bare response.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    prompt: str
    output: OutputSpec
    filters: tuple[FilterSpec, ...] | None = None
    continues: bool = False

    @property
    def all_filters(self) -> tuple[FilterSpec, ...]:
        """The filters, or the usual one of a generated text: cut white space from its ends."""
        if self.filters is not None:
            return self.filters
        return (FilterSpec(name="strip"),) if self.output.generate else ()


class ExecuteSpec(Part):
    """How an answer is run as a program, in the sandbox, and judged; see docs/tasks.md.

    program: template of the source text; it sees the document's columns, and ``answer``. Either tests: a template of Python
    code that is run after the program and must come to its end, with entry_point naming the function under test; or cases:
    an expression that gives inputs and outputs, as ``[{input, output}, ...]`` or ``{inputs: [...], outputs: [...]}``.
    """

    program: str = "{{ answer }}"
    tests: str | None = None
    entry_point: str | None = None
    cases: str | None = None
    timeout_seconds: float = Field(default=10.0, gt=0)
    memory_mb: int = Field(default=512, gt=0, strict=True)

    @model_validator(mode="after")
    def _one_way_to_judge(self) -> ExecuteSpec:
        if (self.tests is None) == (self.cases is None):
            raise ValueError("give one of `tests:` and `cases:`\nwithout them nothing says whether a program is right")
        if self.entry_point is not None and self.tests is None:
            raise ValueError("`entry_point` belongs to `tests:`\nremove it: cases run the whole program")
        return self
