"""The same tasks over BIG-Bench Hard, written twice: as evalharness and as lm-evaluation-harness 0.4.13 read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

Kind = Literal["choose", "generate", "score", "perplexity"]

#: Our metric -> theirs, by kind of task.
METRICS: dict[Kind, dict[str, str]] = {
    "choose": {
        "accuracy": "acc",
        "accuracy_per_character": "acc_norm",
        "accuracy_per_byte": "acc_bytes",
    },
    "generate": {"exact_match": "exact_match"},
    "score": {"greedy_match": "acc", "document_perplexity": "perplexity"},
    "perplexity": {
        "word_perplexity": "word_perplexity",
        "byte_perplexity": "byte_perplexity",
        "bits_per_byte": "bits_per_byte",
    },
}

TARGET = "{{ target }}"
QUESTION = "Q: {{ input }}\nA:"
YES_NO = ["Yes", "No"]
OPTION_LINES = "input.split('Options:\\n')[1].split('\\n')"

#: Invented, and not among BBH's documents: where a written shot is the evaluated document, lm-eval shows it nevertheless.
WRITTEN_SHOTS = [
    {"input": "True and True and True and True and False is", "target": "False"},
    {"input": "not not not not not False is", "target": "True"},
    {"input": "( False ) or ( False ) or ( True ) is", "target": "True"},
]


@dataclass(frozen=True)
class TaskPair:
    """One task in both languages.

    data: the BBH file. ours, theirs: the keys of the two YAML files, without name, data and metrics.
    metrics: our metric -> theirs. metric_parameters: of every metric, named alike on both sides.
    """

    name: str
    data: str
    kind: Kind
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    metrics: Mapping[str, str]
    metric_parameters: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, data_folder: Path) -> None:
        """Write ``ours/<name>.yaml`` and ``theirs/<name>.yaml`` below `folder`."""
        file = str((data_folder / f"{self.data}.jsonl").resolve())
        ours = {
            "name": self.name,
            "data": {"files": {"test": file}, "shots": "test"},
            **self.ours,
            "metrics": [{ours: dict(self.metric_parameters)} for ours in self.metrics],
        }
        theirs = {
            "task": self.name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": file}},
            "test_split": "test",
            "fewshot_split": "test",
            **self.theirs,
            "metric_list": [{"metric": theirs, **self.metric_parameters} for theirs in self.metrics.values()],
        }
        for side, content in (("ours", ours), ("theirs", theirs)):
            path = folder / side / f"{self.name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def bbh_pairs(*, encoder_decoder: bool = False) -> list[TaskPair]:
    """Return the compared tasks; encoder_decoder: whether they are asked of such a model.

    Texts of several windows are then left out: from the second window on, lm-eval gives the encoder the tokens before the
    window and the decoder none, where evalharness shows the encoder an empty text throughout.
    """
    pairs = [*_choose_pairs(), *_generate_pairs(), *_likelihood_pairs()]
    if not encoder_decoder:
        return pairs
    return [_counting_decoder_tokens(pair) for pair in pairs if pair.name != "rolling_long"]


def _counting_decoder_tokens(pair: TaskPair) -> TaskPair:
    """Make lm-eval generate as many tokens as it was told to.

    For an encoder-decoder too, it lets `generate` go to the length of the prompt plus `max_gen_toks`, but there the prompt
    is not part of what is generated. `max_length` overrides that; it counts the decoder's start token.
    """
    if pair.kind != "generate":
        return pair
    settings = dict(pair.theirs["generation_kwargs"])
    settings["max_length"] = settings["max_gen_toks"] + 1
    return replace(pair, theirs={**pair.theirs, "generation_kwargs": settings})


def _choose_pairs() -> list[TaskPair]:
    chosen = METRICS["choose"]
    gained = {**chosen, "accuracy_mutual_information": "acc_mutual_info"}
    return [
        _choose("navigate_zero_shot", "navigate", YES_NO, metrics=gained),
        _choose(
            "navigate_three_shot",
            "navigate",
            YES_NO,
            metrics=chosen,
            shots=3,
            system="Say whether the walk ends where it began.",
        ),
        TaskPair(
            name="boolean_written_shots",
            data="boolean_expressions",
            kind="choose",
            ours={
                "prompt": "{{ input }}",
                "delimiter": "\n",
                "reference": "{{ target }}",
                "choices": ["True", "False"],
                "shots": {"count": 3, "documents": WRITTEN_SHOTS, "separator": "\n###\n"},
                "output": "choose",
            },
            theirs={
                "output_type": "multiple_choice",
                "doc_to_text": "{{ input }}",
                "target_delimiter": "\n",
                "doc_to_target": "{{ target }}",
                "doc_to_choice": ["True", "False"],
                "num_fewshot": 3,
                "fewshot_delimiter": "\n###\n",
                "fewshot_split": None,
                "fewshot_config": {"sampler": "first_n", "samples": WRITTEN_SHOTS},
            },
            metrics=chosen,
        ),
        _choose(
            "date_letters_three_shot",
            "date_understanding",
            "{{ " + OPTION_LINES + " | map('truncate', 3, true, '', 0) | list }}",
            metrics=chosen,
            shots=3,
        ),
        TaskPair(
            name="date_whole_options",
            data="date_understanding",
            kind="choose",
            ours={
                "prompt": "{{ input.split('Options:')[0] }}",
                "delimiter": "",
                "reference_index": "{{ 'ABCDEF'.index(target[1]) }}",
                "choices": "{{ " + OPTION_LINES + " }}",
                "output": "choose",
            },
            theirs={
                "output_type": "multiple_choice",
                "doc_to_text": "{{ input.split('Options:')[0] }}",
                "target_delimiter": "",
                "doc_to_target": "{{ 'ABCDEF'.index(target[1]) }}",
                "doc_to_choice": "{{ " + OPTION_LINES + " }}",
            },
            metrics=gained,
        ),
    ]


def _choose(
    name: str,
    data: str,
    choices: Any,
    *,
    metrics: Mapping[str, str],
    shots: int = 0,
    system: str | None = None,
) -> TaskPair:
    """Ask for the target among the choices, as ``Q: ... A:``."""
    ours = {"prompt": QUESTION, "reference": TARGET, "choices": choices, "output": "choose"}
    theirs = {
        "output_type": "multiple_choice",
        "doc_to_text": QUESTION,
        "doc_to_target": TARGET,
        "doc_to_choice": choices,
    }
    shown_ours, shown_theirs = _shown(shots, system)
    return TaskPair(name, data, "choose", {**ours, **shown_ours}, {**theirs, **shown_theirs}, metrics)


def _shown(shots: int, system: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say in both languages: the system text, and the first other documents of the same split as shots."""
    ours: dict[str, Any] = {"shots": {"count": shots}}
    theirs: dict[str, Any] = {"num_fewshot": shots, "fewshot_config": {"sampler": "first_n"}}
    if system is not None:
        ours["system"] = system
        theirs["description"] = system + "\n\n"  # lm-eval puts nothing between description and prompt
    return ours, theirs


def _generate_pairs() -> list[TaskPair]:
    """Ask in words that the small checkpoints know, so that some answers are right and equal scores mean something."""
    verdict = "{{ 'positive' if target == 'Yes' else 'negative' }}"
    return [
        _generate(
            "boolean_generate",
            "boolean_expressions",
            prompt="{{ input }}",
            shots=4,
            output={"max_new_tokens": 12, "stop": ["\n"]},
            filters=_regex("(True|False)", "first"),
        ),
        _leniently(
            _generate(
                "navigate_generate",
                "navigate",
                reference=verdict,
                shots=2,
                output={"max_new_tokens": 24, "stop": ["\n\n", "Q:", " the"]},
                filters=_STRIP,
            )
        ),
        _generate(
            "counting_generate",
            "object_counting",
            prompt="Question: {{ input }}\nReasoning:",
            output={"max_new_tokens": 40, "stop": ["\n"]},
            filters=_regex(r"(-?\d+)", "last"),
        ),
        _generate("sorting_generate", "word_sorting", output={"max_new_tokens": 32, "stop": ["\n"]}, filters=_STRIP),
    ]


def _leniently(pair: TaskPair) -> TaskPair:
    return replace(pair, metric_parameters={"ignore_case": True, "ignore_punctuation": True})


_STRIP: tuple[Any, Any] = ("strip", {"function": "remove_whitespace"})


def _regex(pattern: str, pick: Literal["first", "last"]) -> tuple[Any, Any]:
    select = {"first": 0, "last": -1}[pick]
    return (
        {"regex": {"pattern": pattern, "pick": pick}},
        {"function": "regex", "regex_pattern": pattern, "group_select": select},
    )


def _generate(
    name: str,
    data: str,
    *,
    output: Mapping[str, Any],
    filters: tuple[Any, Any],
    prompt: str = QUESTION,
    reference: str = TARGET,
    shots: int = 0,
) -> TaskPair:
    shown_ours, shown_theirs = _shown(shots, None)
    ours_filter, theirs_filter = filters
    greedy = {"do_sample": False, "temperature": 0.0}
    return TaskPair(
        name,
        data,
        "generate",
        ours={
            "prompt": prompt,
            "reference": reference,
            "filters": [ours_filter],
            "output": {"generate": dict(output)},
            **shown_ours,
        },
        theirs={
            "output_type": "generate_until",
            "doc_to_text": prompt,
            "doc_to_target": reference,
            "generation_kwargs": {"max_gen_toks": output["max_new_tokens"], "until": output["stop"], **greedy},
            "filter_list": [{"name": "answer", "filter": [theirs_filter, {"function": "take_first"}]}],
            **shown_theirs,
        },
        metrics=METRICS["generate"],
    )


def _likelihood_pairs() -> list[TaskPair]:
    shown_ours, shown_theirs = _shown(2, None)
    score = TaskPair(
        "counting_score",
        "object_counting",
        "score",
        ours={"prompt": QUESTION, "reference": "{{ target }}", "output": "score", **shown_ours},
        # lm-eval adds no delimiter before the target of a loglikelihood request, but does so within shots.
        theirs={
            "output_type": "loglikelihood",
            "doc_to_text": QUESTION,
            "doc_to_target": " {{ target }}",
            **shown_theirs,
            "fewshot_config": {"sampler": "first_n", "doc_to_target": "{{ target }}"},
        },
        metrics=METRICS["score"],
    )
    # Eight copies do not fit the context of the small checkpoints, so that windows are compared too.
    texts = {"rolling_inputs": "{{ input }} {{ target }}", "rolling_long": "{{ (input + '\\n') * 8 }}"}
    rolling = [
        TaskPair(
            name,
            "navigate",
            "perplexity",
            ours={"prompt": text, "output": "perplexity"},
            theirs={"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": text},
            metrics=METRICS["perplexity"],
        )
        for name, text in texts.items()
    ]
    return [score, *rolling]
