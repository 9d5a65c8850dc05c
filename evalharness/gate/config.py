"""What a gate demands: the schema of its YAML file, where every unknown key is an error, since a typo must not weaken it."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from evalharness.compare.valuation import RANGES
from evalharness.errors import GateError, Problem, suggest
from evalharness.resources import bundled_dir
from evalharness.yaml_source import YamlSource, read_yaml, validated

CONFIG_VERSION = 1
DEFAULT_CONFIG = "default"

#: What must hold of a row: that it is shown to be not inferior, that it has not regressed, or nothing.
Requirement = StrictBool | Literal["regression-only"]
MissingPolicy = Literal["error", "warn", "ignore"]

_Number = Annotated[float, Field(strict=True)]
_NotNegative = Annotated[float, Field(strict=True, ge=0)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_InnerShare = Annotated[float, Field(strict=True, gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class PairingPolicy(_Part):
    """How documents of two runs are joined.

    min_overlap: the share of the documents of the larger side that must pair. on_unpaired: whether any document without a
    partner makes a task not comparable, or the pairs alone are compared and the others counted.
    """

    min_overlap: _Share = 0.99
    on_unpaired: Literal["error", "intersect"] = "error"


class ErrorPolicy(_Part):
    """What failed documents mean.

    max_rate: a greater share of them on either side makes a task not comparable: that is infrastructure, not quality.
    count_as: ``wrong`` gives them the worst value that the metric can have, ``unpaired`` leaves them out as documents without
    a partner.
    """

    max_rate: _Share = 0.01
    count_as: Literal["wrong", "unpaired"] = "wrong"


class SuiteRule(_Part):
    """What is demanded of the average over tasks.

    aggregate: ``macro`` weighs tasks alike, ``macro_normalised`` as well, after chance is taken off and the rest stretched to
    one, ``micro`` weighs them by their documents. margin, min_effect: on the scale of the average, where 1 is everything.
    share: of alpha, kept for this level; the tasks have the rest.
    """

    aggregate: Literal["macro_normalised", "macro", "micro"] = "macro_normalised"
    margin: _NotNegative = 0.01
    min_effect: _NotNegative = 0.0
    required: Requirement = True
    share: _InnerShare = 0.5


class TaskRule(_Part):
    """What is demanded of the tasks that a pattern names.

    metric: a metric's label, or ``primary`` for the headline. direction: overrules the metric's own, where a task turns it.
    margin: the drop that is acceptable, as a share of the metric's range. margin_rel: the same as a share of the baseline's
    value; for perplexities, where ratios are compared, and metrics without a range. min, max: absolute limits in the metric's
    unit, held against the candidate's value, or the worse end of its interval (``on: ci_low``). min_effect: a proven drop
    fails only if it was observed to be larger. correction: ``none`` spends the whole alpha on this task alone.
    weight: in the average over tasks.
    """

    metric: Annotated[str, Field(min_length=1)] = "primary"
    direction: Literal["higher", "lower"] | None = None
    margin: _NotNegative | None = None
    margin_rel: _NotNegative | None = None
    min: _Number | None = None
    max: _Number | None = None
    on: Literal["point", "ci_low"] = "point"
    min_effect: _NotNegative = 0.0
    correction: Literal["holm", "none"] = "holm"
    required: Requirement = "regression-only"
    weight: Annotated[float, Field(strict=True, gt=0)] = 1.0

    @model_validator(mode="after")
    def _limits_leave_room(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}\nexchange them, or remove one")
        return self


class DropLimit(_Part):
    """How far a speed may fall, as a share of the baseline's."""

    max_drop_rel: _Share
    required: StrictBool = False


class RiseLimit(_Part):
    """How far a need may grow, as a share of the baseline's."""

    max_rise_rel: _NotNegative
    required: StrictBool = False


class PerformanceRules(_Part):
    """Limits on speed and memory; each is a single measurement, without an interval."""

    tokens_per_second: DropLimit | None = None
    peak_memory: RiseLimit | None = None
    peak_device_memory: RiseLimit | None = None


class GateConfig(_Part):
    """A gate: its baselines, its error rate, its policies, and its rules for suite, tasks and performance.

    baselines: names in the lock file, run ids or run directories. alpha: how often the whole gate may fail an unchanged
    model. power: at which detectable drops are told.
    """

    version: Literal[1]
    baselines: tuple[Annotated[str, Field(min_length=1)], ...] = ("main",)
    lock: Annotated[str, Field(min_length=1)] = ".evalharness/baseline.lock.json"
    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.25)] = 0.05
    power: _InnerShare = 0.8
    correction: Literal["holm", "none"] = "holm"
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    on_inconclusive: Literal["pass", "warn", "fail"] = "warn"
    on_missing_task: MissingPolicy = "error"
    on_new_task: Literal["warn", "ignore"] = "ignore"
    on_changed_task: MissingPolicy = "error"
    on_missing_baseline: Literal["error", "warn"] = "error"
    pairing: PairingPolicy = PairingPolicy()
    errors: ErrorPolicy = ErrorPolicy()
    suite: SuiteRule = SuiteRule()
    tasks: dict[str, TaskRule] = Field(default_factory=dict)
    performance: PerformanceRules = PerformanceRules()

    @model_validator(mode="before")
    @classmethod
    def _patterns_are_not_empty(cls, data: Any) -> Any:
        for name in (data.get("tasks") or {}) if isinstance(data, dict) and isinstance(data.get("tasks"), dict) else ():
            if not str(name).strip():
                raise ValueError("a pattern under `tasks` is empty\nwrite a task's name, or `*` for all")
        return data

    @model_validator(mode="after")
    def _at_least_one_baseline(self) -> Self:
        if not self.baselines:
            raise ValueError("baselines is empty\nname at least one, such as `baselines: [main]`")
        if len(set(self.baselines)) < len(self.baselines):
            raise ValueError("a baseline is named twice\neach is compared once; remove one")
        return self

    def rule(self, task: str) -> TaskRule:
        """Return what is demanded of a task: all rules whose pattern fits, a name itself last, later ones over earlier.

        A rule that sets one of margin and margin_rel takes the place of both.
        """
        fitting = [
            rule for pattern, rule in self.tasks.items() if pattern != task and fnmatch.fnmatchcase(task, pattern)
        ]
        given: dict[str, Any] = {}
        for rule in [*fitting, *([self.tasks[task]] if task in self.tasks else [])]:
            own = {name: getattr(rule, name) for name in rule.model_fields_set}
            if own.keys() & {"margin", "margin_rel"}:
                given = {name: value for name, value in given.items() if name not in ("margin", "margin_rel")}
            given |= own
        return TaskRule.model_validate(given)


def read_gate_config(path: Path) -> YamlSource:
    """Read the YAML of a gate, not yet checked: `checked_config` does that, after flags were put in.

    Raises GateError with file and line.
    """
    return read_yaml(path, error=GateError)


def checked_config(source: YamlSource) -> GateConfig:
    """Return the gate that a YAML file describes.

    Raises GateError with all problems: file, line, the value, and the nearest known key.
    """
    return validated(source, GateConfig, error=GateError, noun="gate file")


def find_config(name: str) -> Path:
    """Return the file of a gate: a path, or the name of one in ./configs/gates or of those that come with evalharness.

    Raises GateError if there is none, with the nearest name.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    folders = [Path("configs/gates"), bundled_dir("configs") / "gates"]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    known = [file.stem for folder in folders for file in folder.glob("*.yaml")]
    raise GateError.at("--config", f"there is no gate `{name}`", suggest(name, known, noun="gates"))


def check_patterns(config: GateConfig, tasks: Collection[str], source: YamlSource) -> None:
    """Refuse rules for tasks that no run has: a mistyped name must not leave a task without its rule.

    Raises GateError with the place of every such rule.
    """
    problems = [
        Problem(
            source.where(("tasks", pattern)),
            f"no run has a task that fits `{pattern}`",
            suggest(pattern, tasks, noun="tasks"),
        )
        for pattern in config.tasks
        if pattern != "*" and not fnmatch.filter(tasks, pattern)
    ]
    if problems:
        raise GateError(problems)


def margin_of(rule: TaskRule, *, is_ratio: bool, unit: str, baseline_value: float | None) -> float | None:
    """Return a rule's margin on the scale of a comparison; None where the rule gives none.

    is_ratio: differences of logarithms are compared, and a relative margin r is log(1 + r). Metrics of fractions and percents
    have an absolute margin, as a share of their range; others one relative to the baseline's value, or else one in their unit.
    Raises GateError where ratios are compared and the margin is absolute alone.
    """
    if is_ratio:
        if rule.margin_rel is None and rule.margin is not None:
            what = f"values of {unit} are compared by their ratio, so an absolute margin has no meaning"
            raise GateError.at("tasks", what, "give `margin_rel`, such as 0.01 for one percent")
        return None if rule.margin_rel is None else math.log1p(rule.margin_rel)
    full_range = range_of(unit)
    if rule.margin is not None and (full_range is not None or rule.margin_rel is None):
        return rule.margin * (full_range or 1.0)
    if rule.margin_rel is not None and baseline_value is not None:
        return rule.margin_rel * abs(baseline_value)
    return None


def range_of(unit: str) -> float | None:
    """Return the width of a unit's range: 1 for fractions, 100 for percents, None where there is no end."""
    return RANGES.get(unit)
