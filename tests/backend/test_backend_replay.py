"""The replay backend reads predictions strictly and answers from them alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalharness.backend import open_backend
from evalharness.backend.protocol import Backend, EngineSettings
from evalharness.errors import ModelError
from evalharness.model.spec import ModelSpec
from evalharness.request import Classified, Classify, Compress, Decoding, Failed, Generate, RequestKey, Score, ScoreText

Replay = Callable[..., Backend]
GREEDY = Decoding()


@pytest.fixture
def events() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def replay(tmp_path: Path, events: list[tuple[str, dict[str, Any]]]) -> Replay:
    """Open a file of the given rows; a text is a line as it stands."""

    def opened(*rows: dict[str, Any] | str) -> Backend:
        file = tmp_path / "p.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings = EngineSettings(on_event=lambda name, fields: events.append((name, dict(fields))))
        return open_backend(ModelSpec(name="theirs", backend="replay", path=str(file)), settings)

    return opened


def ask(backend: Backend, document_id: str, task: str = "t", slot: int = 0, repeat: int = 0) -> Any:
    (response,) = backend.run([Generate(RequestKey(task, document_id, slot, repeat), "prompt")])
    return response


def test_a_text_answers_its_document(replay: Replay) -> None:
    assert ask(replay({"document_id": "a", "text": "A"}, {"document_id": "b", "text": "B"}), "b").text == "B"


def test_a_number_is_a_document_id_too(replay: Replay) -> None:
    assert ask(replay({"document_id": 7, "text": "seven"}), "7").text == "seven"


def test_a_prediction_for_the_task_is_stronger(replay: Replay) -> None:
    backend = replay({"document_id": "a", "text": "any"}, {"task": "t", "document_id": "a", "text": "mine"})
    assert (ask(backend, "a", "t").text, ask(backend, "a", "u").text) == ("mine", "any")


def test_repeats_and_steps_are_told_apart(replay: Replay) -> None:
    rows = [{"document_id": "a", "repeat": r, "slot": s, "text": f"{r}{s}"} for r in range(2) for s in range(2)]
    backend = replay(*rows)
    assert ask(backend, "a", slot=1, repeat=0).text == "01"
    assert ask(backend, "a", slot=0, repeat=1).text == "10"


def test_a_missing_prediction_fails_its_request(replay: Replay) -> None:
    response = ask(replay({"document_id": "a", "text": "A"}), "b")
    assert response == Failed(RequestKey("t", "b"), "no prediction for document 'b' of task 't'")


def test_logprobs_are_one_a_slot(replay: Replay) -> None:
    row = {"document_id": "a", "logprobs": [-1.5, -0.5], "n_tokens": [3, 1], "is_greedy": [False, True]}
    made = [Score(RequestKey("t", "a", slot), "p", " c") for slot in range(2)]
    responses = list(replay(row).run(made))
    assert [(r.logprob, r.n_tokens, r.is_greedy) for r in responses] == [(-1.5, 3, False), (-0.5, 1, True)]


def test_a_missing_logprob_fails_its_request(replay: Replay) -> None:
    made = [Score(RequestKey("t", "a", slot), "p", " c") for slot in range(2)]
    _, response = replay({"document_id": "a", "logprobs": [-1.5]}).run(made)
    assert response.error == "the prediction has 1 logprobs, this is request 2 of its document"


def test_a_text_and_logprobs_may_answer_one_document(replay: Replay) -> None:
    backend = replay({"document_id": "a", "text": "A"}, {"document_id": "a", "logprobs": [-2.0]})
    (scored,) = backend.run([ScoreText(RequestKey("t", "a"), "some text")])
    assert (ask(backend, "a").text, scored.logprob) == ("A", -2.0)


def test_logits_answer_a_classification_by_its_slot(replay: Replay) -> None:
    rows = [
        {"document_id": "a", "slot": slot, "logits": [0.5 + slot, -1], "labels": ["x", "y"], "n_tokens": [7]}
        for slot in range(2)
    ]
    made = [Classify(RequestKey("t", "a", slot), "some text") for slot in range(2)]
    expected = [Classified(request.key, (0.5 + slot, -1.0), ("x", "y"), 7) for slot, request in enumerate(made)]
    assert list(replay(*rows).run(made)) == expected


def test_logits_do_not_answer_a_generation_nor_a_text_a_classification(replay: Replay) -> None:
    backend = replay({"document_id": "a", "logits": [0.5], "labels": ["x"]}, {"document_id": "b", "text": "B"})
    made = [Generate(RequestKey("t", "a"), "p"), Classify(RequestKey("t", "b"), "some text")]
    errors = [response.error for response in backend.run(made)]
    assert errors == [
        "the prediction holds logits, where a text is needed",
        "the prediction is a text, where logits are needed",
    ]


def test_each_logit_needs_a_label(replay: Replay) -> None:
    with pytest.raises(ModelError, match="logits and labels differ in number"):
        replay({"document_id": "a", "logits": [0.5, 1.5], "labels": ["x"]})


def test_what_the_file_does_not_say_is_put_on_record_once(replay: Replay, events: list) -> None:
    made = [Score(RequestKey("t", "a", slot), "p", " c") for slot in range(2)]
    list(replay({"document_id": "a", "logprobs": [-1.5, -0.5]}).run(made))
    assert sorted(fields["field"] for name, fields in events if name == "assumed") == ["is_greedy", "n_tokens"]


def test_nothing_is_assumed_where_the_file_says_all(replay: Replay, events: list) -> None:
    row = {"document_id": "a", "logprobs": [-1.5], "n_tokens": [3], "is_greedy": [False]}
    list(replay(row).run([Score(RequestKey("t", "a"), "p", " c")]))
    assert events == []


def test_unused_predictions_are_told_once(replay: Replay, events: list) -> None:
    backend = replay({"document_id": "a", "text": "A", "n_tokens": [1]}, {"task": "x", "document_id": "b", "text": "B"})
    ask(backend, "a")
    ask(backend, "a")
    assert backend.statistics() == {"used_predictions": 1.0, "unused_predictions": 1.0}
    assert events == [("unused_predictions", {"count": 1, "first": [{"task": "x", "document_id": "b"}]})]


def test_predictions_of_a_step_not_asked_yet_are_not_called_unused(replay: Replay, events: list) -> None:
    rows = [{"document_id": "a", "slot": slot, "text": "A", "n_tokens": [1]} for slot in range(2)]
    backend = replay(*rows)
    ask(backend, "a", slot=0)
    assert events == []
    ask(backend, "a", slot=1)
    assert backend.statistics() == {"used_predictions": 2.0, "unused_predictions": 0.0}


def test_predictions_of_a_resumed_run_count_as_used(replay: Replay, events: list) -> None:
    backend = replay({"document_id": "a", "text": "A", "n_tokens": [1]})
    key = RequestKey("t", "a")
    assert list(backend.run([Generate(key, "p")], {key})) == []
    assert events == []


def test_a_document_answered_twice_names_both_lines(replay: Replay) -> None:
    with pytest.raises(ModelError, match=r"p\.jsonl:3: document 'a' is answered twice: on lines 1 and 3"):
        replay({"document_id": "a", "text": "A"}, {"document_id": "b", "text": "B"}, {"document_id": "a", "text": "C"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", r"p\.jsonl:1: not a line of JSON"),
        ("[1]", r"p\.jsonl:1: not a JSON object"),
        ('{"document_id": "a"}', "a prediction holds one of text, logprobs and logits"),
        ('{"document_id": "a", "text": "A", "logprobs": [-1]}', "a prediction holds one of text, logprobs and logits"),
        ('{"text": "A"}', "field `document_id` is missing"),
        ('{"document_id": "a", "txt": "A"}', "unknown field `txt`\n.*did you mean `text`"),
        ('{"document_id": "a", "logprobs": [0.7]}', "0.7 is above 0\n.*natural logarithms"),
        ('{"document_id": "a", "logprobs": [NaN]}', "NaN is not a number"),
        ('{"document_id": "a", "logprobs": [-1e999]}', "finite"),
        ('{"document_id": "a", "logprobs": [-1], "n_tokens": [1, 2]}', "n_tokens has 2 values"),
        ('{"document_id": true, "text": "A"}', "document_id: .*got True"),
        ('{"document_id": "a", "repeat": -1, "text": "A"}', "repeat: .*got -1"),
    ],
)
def test_a_wrong_line_is_refused(replay: Replay, line: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replay(line)


def test_all_wrong_lines_are_named_at_once(replay: Replay) -> None:
    with pytest.raises(ModelError) as caught:
        replay("{", {"document_id": "a", "text": "A"}, "}")
    assert [problem.where[-2:] for problem in caught.value.problems] == [":1", ":3"]


def test_empty_lines_and_a_byte_order_mark_are_passed_over(replay: Replay) -> None:
    assert ask(replay('\ufeff{"document_id": "a", "text": "A"}', "", "  "), "a").text == "A"


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(b'{"document_id": "a", "text": "\xff"}')
    with pytest.raises(ModelError, match="not a line of JSON"):
        open_backend(ModelSpec(name="m", backend="replay", path=str(file)), EngineSettings())


@pytest.mark.parametrize("path", ["", "/nowhere/p.jsonl"])
def test_a_missing_file_is_refused(path: str) -> None:
    with pytest.raises(ModelError, match=r"cannot be read"):
        open_backend(ModelSpec(name="m", backend="replay", path=path), EngineSettings())


def test_logprobs_follow_the_choices_also_behind_earlier_steps(tmp_path):
    """With steps, the choices' slots begin behind those of the steps; the predictions need not know."""
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"document_id": "a", "logprobs": [-1.0, -2.0]}\n')
    backend = open_backend(ModelSpec(name="p", backend="replay", path=str(path)), EngineSettings())
    requests = [Score(RequestKey("t", "a", slot), "prompt", f" choice {slot}") for slot in (2, 1)]
    assert [response.logprob for response in backend.run(requests)] == [-2.0, -1.0]


def test_predictions_do_not_compress(replay: Replay) -> None:
    backend = replay({"document_id": "a", "logprobs": [-1.0]})
    assert Compress not in backend.capabilities
    (failed,) = backend.run([Compress(RequestKey("t", "a", 1), "some text")])
    assert "cannot compress" in failed.error
