"""The fake backend answers from its table, makes up the rest from the content, and fails where it is told to."""

import subprocess
import sys

import pytest

from evalharness.backend import open_backend
from evalharness.backend.fake import CRASH_EXIT_CODE
from evalharness.backend.protocol import Backend, EngineSettings, TokenCounts
from evalharness.errors import ModelError
from evalharness.model.spec import ModelSpec
from evalharness.request import Classify, Compress, Compressed, Decoding, Failed, Generate, Message, RequestKey, Score

KEY = RequestKey("t", "d")
SAMPLED = Decoding(temperature=1.0)


def fake(**options: object) -> Backend:
    return open_backend(ModelSpec(name="fake", backend="fake", options=options), EngineSettings())


def text_of(backend: Backend, request: Generate) -> str:
    (response,) = backend.run([request])
    return response.text


def test_a_prompt_in_the_table_gets_its_answer() -> None:
    assert text_of(fake(text="else", table={"2 + 2?": "4"}), Generate(KEY, "2 + 2?")) == "4"


def test_other_prompts_get_the_text() -> None:
    assert text_of(fake(text="else", table={"2 + 2?": "4"}), Generate(KEY, "3 + 3?")) == "else"


def test_a_chat_is_looked_up_by_its_last_turn() -> None:
    chat = (Message("system", "Be brief."), Message("user", "2 + 2?"))
    assert text_of(fake(table={"2 + 2?": "4"}), Generate(KEY, chat)) == "4"


def test_the_answer_of_the_table_is_scored_best() -> None:
    made = [Score(RequestKey("t", "d", slot), "2 + 2?", f" {slot}") for slot in range(10)]
    responses = list(fake(table={"2 + 2?": "4"}).run(made))
    assert max(responses, key=lambda response: response.logprob).key.slot == 4
    assert [response.is_greedy for response in responses] == [slot == 4 for slot in range(10)]


def test_greedy_answers_do_not_look_at_the_seed() -> None:
    assert text_of(fake(), Generate(KEY, "a b c d e", seed=1)) == text_of(fake(), Generate(KEY, "a b c d e", seed=2))


def test_sampled_answers_differ_by_seed() -> None:
    texts = {text_of(fake(), Generate(KEY, "a b c d e f g", SAMPLED, seed)) for seed in range(10)}
    assert len(texts) > 5


def test_a_text_is_compressed_chunk_by_chunk() -> None:
    (whole,) = fake().run([Compress(KEY, "one two three four", 9)])
    assert (whole.n_bytes, whole.n_chunks, whole.n_tokens) == (18, 2, 5)  # "one two t" and "hree four"
    parts = [Compress(RequestKey("t", "d", i), text) for i, text in enumerate(["one two t", "hree four"])]
    apart = list(fake().run(parts))
    assert all(isinstance(response, Compressed) for response in apart)
    assert whole.n_compressed_bytes == sum(response.n_compressed_bytes for response in apart) > 4


def test_the_label_of_the_table_gets_the_greatest_logit() -> None:
    backend = fake(labels=["fine", "toxic"], table={"You fool.": "toxic", "Rain": "fine"})
    made = [Classify(KEY, "You fool."), Classify(RequestKey("t", "e"), "Is it wet?", "Rain")]
    found = [dict(zip(r.labels, r.logits, strict=True)) for r in backend.run(made)]
    assert [max(logits, key=lambda label: logits[label]) for logits in found] == ["toxic", "fine"]


def test_made_up_logits_depend_on_both_texts() -> None:
    made = [Classify(RequestKey("t", str(i)), *texts) for i, texts in enumerate([("a",), ("a", "b"), ("b", "a")])]
    assert len({response.logits for response in fake().run(made)}) == 3


def test_a_document_has_no_part_in_the_answer() -> None:
    assert text_of(fake(), Generate(KEY, "a b c")) == text_of(fake(), Generate(RequestKey("u", "e"), "a b c"))


def test_an_answer_has_at_most_the_tokens_allowed() -> None:
    (response,) = fake(text="one two three").run([Generate(KEY, "x", Decoding(max_new_tokens=2))])
    assert (response.text, response.n_tokens, response.stopped_by) == ("one two", 2, "length")


def test_named_documents_fail() -> None:
    made = [Generate(RequestKey("t", name), "x") for name in ("a", "b", "c")]
    failed = [response.key.document_id for response in fake(fail=["b"]).run(made) if isinstance(response, Failed)]
    assert failed == ["b"]


def test_tokens_are_counted_without_running() -> None:
    made = [Generate(KEY, "one two", Decoding(max_new_tokens=5)), Score(KEY, "one", " two three")]
    assert fake().count_tokens(made) == TokenCounts(prompt_tokens=5, max_new_tokens=5, truncated_requests=0)


def test_statistics_count_what_was_answered() -> None:
    backend = fake(text="one two three")
    list(backend.run([Generate(KEY, "four words are here")]))
    assert backend.statistics() == {"prompt_tokens": 4.0, "generated_tokens": 3.0}


def test_a_fingerprint_changes_with_the_answers_only() -> None:
    assert fake(text="a").identity().weights == fake(text="a", delay_seconds=1).identity().weights
    assert fake(text="a").identity().weights != fake(text="b").identity().weights


def test_an_unknown_option_gets_near_matches() -> None:
    with pytest.raises(ModelError, match=r"model fake \(backend fake\), options: unknown field `txt`\n.*`text`"):
        fake(txt="a")


def test_a_crash_comes_after_the_response_was_handed_over() -> None:
    program = """
from evalharness.backend import open_backend
from evalharness.backend.protocol import EngineSettings
from evalharness.model.spec import ModelSpec
from evalharness.request import Generate, RequestKey
backend = open_backend(ModelSpec(name="m", backend="fake", options={"crash_after": 2}), EngineSettings())
for response in backend.run([Generate(RequestKey("t", str(i)), "x") for i in range(5)]):
    print(response.key.document_id, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (CRASH_EXIT_CODE, ["0", "1"])
