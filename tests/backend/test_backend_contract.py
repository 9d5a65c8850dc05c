"""What every backend promises: each key once, no matter the order, and answered keys are respected.

Runs over every registered backend that can be opened here without weights; the transformers backend has its own suite.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalharness.backend import BACKENDS, open_backend
from evalharness.backend.protocol import Backend, EngineSettings
from evalharness.errors import ModelError
from evalharness.model.spec import ModelSpec
from evalharness.request import (
    Classified,
    Classify,
    Decoding,
    Generate,
    Generated,
    Message,
    Request,
    RequestKey,
    Score,
    Scored,
    ScoreText,
    TextScored,
)

PAIRS = ((0, None), (1, "and its pair"))
CHAT = (Message("system", "Be brief."), Message("user", "What is 2 + 2?"))


def requests() -> list[Request]:
    """All kinds, with slots, repeats, chat and two tasks."""
    sampled = Decoding(max_new_tokens=8, temperature=0.7)
    made: list[Request] = [
        Generate(RequestKey("t", f"d{i}"), f"Question {i}?", Decoding(max_new_tokens=8)) for i in range(4)
    ]
    made += [Generate(RequestKey("t", "sampled", 0, r), "Tell me.", sampled, seed=r) for r in range(3)]
    made += [Generate(RequestKey("t", "chat"), CHAT)]
    made += [
        Score(RequestKey("choices", f"d{i}", slot), f"Pick {i}:", f" choice {slot}")
        for i in range(3)
        for slot in range(4)
    ]
    made += [ScoreText(RequestKey("texts", f"d{i}"), f"A text with {i} in it.\n\nAnd an end.") for i in range(3)]
    made += [
        Classify(RequestKey("verdicts", f"d{i}", slot), f"Text {i}", pair) for i in range(2) for slot, pair in PAIRS
    ]
    return made


def predictions(made: list[Request]) -> str:
    """A predictions file that answers all of them."""
    rows: dict[object, dict] = {}
    for request in made:
        key = request.key
        if isinstance(request, Classify):
            row = {"task": key.task, "document_id": key.document_id, "slot": key.slot}
            rows[key] = row | {"logits": [0.5, -1.0 - key.slot], "labels": ["fine", "toxic"]}
            continue
        row = rows.setdefault(
            (key.task, key.document_id, key.repeat),
            {"task": key.task, "document_id": key.document_id, "repeat": key.repeat},
        )
        if isinstance(request, Generate):
            row["text"] = f"answer to {key.document_id} {key.repeat}"
        else:
            row.setdefault("logprobs", []).append(-1.0 - key.slot)
    return "".join(json.dumps(row) + "\n" for row in rows.values())


Opener = Callable[[], Backend]


@pytest.fixture(params=["fake", "replay"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    file = tmp_path / "predictions.jsonl"
    file.write_text(predictions(requests()), encoding="utf-8")
    path = str(file) if request.param == "replay" else ""
    return lambda: open_backend(ModelSpec(name="m", backend=request.param, path=path), EngineSettings())


def test_every_light_backend_is_covered_here() -> None:
    assert set(BACKENDS) >= {"fake", "replay", "transformers"}


def test_a_backend_follows_the_protocol(opened: Opener) -> None:
    assert isinstance(opened(), Backend)


def test_each_key_is_answered_exactly_once(opened: Opener) -> None:
    made = requests()
    keys = [response.key for response in opened().run(made)]
    assert sorted(keys) == sorted(request.key for request in made)


def test_each_kind_of_request_gets_its_kind_of_response(opened: Opener) -> None:
    kinds = {Generate: Generated, Score: Scored, ScoreText: TextScored, Classify: Classified}
    by_key = {response.key: response for response in opened().run(requests())}
    for request in requests():
        assert type(by_key[request.key]) is kinds[type(request)]


@given(order=st.permutations(range(len(requests()))))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_answers_do_not_depend_on_the_order(opened: Opener, order: list[int]) -> None:
    made = requests()
    expected = {response.key: response for response in opened().run(made)}
    assert {response.key: response for response in opened().run([made[i] for i in order])} == expected


def test_answers_are_the_same_from_a_second_backend(opened: Opener) -> None:
    assert list(opened().run(requests())) == list(opened().run(requests()))


def test_answered_keys_are_left_out(opened: Opener) -> None:
    made = requests()
    answered = {request.key for request in made[::2]}
    assert {response.key for response in opened().run(made, answered)} == {request.key for request in made[1::2]}


def test_a_resumed_run_answers_as_an_uninterrupted_one(opened: Opener) -> None:
    made = requests()
    whole = {response.key: response for response in opened().run(made)}
    first = dict(list(whole.items())[:5])
    rest = {response.key: response for response in opened().run(made, first.keys())}
    assert first | rest == whole


def test_logprobs_are_not_positive(opened: Opener) -> None:
    scored = [r for r in opened().run(requests()) if isinstance(r, Scored | TextScored)]
    assert scored
    assert all(response.logprob <= 0 for response in scored)


def test_sizes_are_those_of_the_texts(opened: Opener) -> None:
    by_key = {response.key: response for response in opened().run(requests())}
    for request in requests():
        response = by_key[request.key]
        if isinstance(response, Scored):
            assert response.n_bytes == len(request.continuation.encode())
        elif isinstance(response, TextScored):
            assert (response.n_bytes, response.n_words) == (len(request.text.encode()), len(request.text.split()))


def test_a_classification_has_one_finite_logit_a_label(opened: Opener) -> None:
    classified = [response for response in opened().run(requests()) if isinstance(response, Classified)]
    assert classified
    for response in classified:
        assert len(response.logits) == len(response.labels)
        assert all(map(math.isfinite, response.logits))


def test_a_stop_string_ends_the_text(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"document_id": "d", "text": "four\\nQuestion: next"}\n', encoding="utf-8")
    specs = [
        ModelSpec(name="m", backend="fake", options={"text": "four\nQuestion: next"}),
        ModelSpec(name="m", backend="replay", path=str(file)),
    ]
    request = Generate(RequestKey("t", "d"), "2 + 2?", Decoding(stop=("Question:", "never")))
    for spec in specs:
        (response,) = open_backend(spec, EngineSettings()).run([request])
        assert (response.text, response.stopped_by) == ("four\n", "stop")


def test_the_identity_names_the_model(opened: Opener) -> None:
    identity = opened().identity()
    assert identity.name == "m"
    assert identity.weights is not None
    assert len(identity.weights) == 64


def test_an_unknown_backend_gets_near_matches() -> None:
    with pytest.raises(ModelError, match=r"unknown backend `transfomers`\n.*did you mean `transformers`"):
        open_backend(ModelSpec(name="m", backend="transfomers"), EngineSettings())
