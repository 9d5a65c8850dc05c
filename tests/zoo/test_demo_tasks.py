"""The demo tasks ask exactly what the zoo was trained on."""

from pathlib import Path

import pytest
from corpus.demo import DEMO_TASKS, items
from make_demo import DATA

from evalharness.request import Generate, StepAnswer
from evalharness.task.documents import read_split
from evalharness.task.loading import load_task
from evalharness.task.prompts import Prompter, make_documents

REPOSITORY = Path(DATA).parents[2]
ZOO = REPOSITORY / "examples" / "zoo"
CHECKPOINTS = {
    "llama-tiny": "llama",
    "llama-small": "llama",
    "llama-small-step-0400": "llama",
    "llama-small-step-0800": "llama",
    "llama-base": "llama",
    "llama-chat": "chat",
    "t5": "t5",
    "bert": "bert",
}


def prompter_and_documents(name: str):
    task = load_task(DATA.parent / f"{name}.yaml")
    documents = make_documents(task, read_split(task.spec.data, "test", where="test"))
    return Prompter(task, [], n_shots=0, seed=0, chat=False), documents


@pytest.mark.parametrize("name", sorted(set(DEMO_TASKS) - {"demo_language_modelling", "demo_last_word"}))
def test_prompts_are_those_of_the_corpus(name: str):
    prompter, documents = prompter_and_documents(name)
    assert [prompter.ask(document).prompt for document in documents] == [item.prompt for item in items(name, "test")]


@pytest.mark.parametrize(
    "name", sorted(set(DEMO_TASKS) - {"demo_language_modelling", "demo_last_word", "demo_word_problems"})
)
def test_solutions_are_the_answers_of_the_corpus(name: str):
    prompter, documents = prompter_and_documents(name)
    delimiter = prompter.spec.delimiter
    solved = [delimiter + prompter.solution(document) for document in documents]
    assert solved == [item.answer for item in items(name, "test")]


def test_the_second_step_of_word_problems_continues_as_the_corpus_does():
    prompter, documents = prompter_and_documents("demo_word_problems")
    for document, item in zip(documents, items("demo_word_problems", "test"), strict=True):
        asked = prompter.ask(document)
        (first,) = prompter.requests(asked, 0, 0)
        reasoning = f" {item.fields['reasoning']}"
        history = [StepAnswer("reasoning", first.prompt, reasoning, reasoning)]
        (second,) = prompter.requests(asked, 1, 0, history)
        assert isinstance(second, Generate)
        assert f"{second.prompt} {item.fields['answer']}" == item.text


@pytest.mark.parametrize(("name", "kind"), CHECKPOINTS.items())
def test_prompt_and_answer_are_tokenised_as_in_training(name: str, kind: str):
    """Training joined the pieces' ids; had the tokenizer merged across their border, scores would be of other tokens."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ZOO / name)

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    for task in DEMO_TASKS:
        for item in items(task, "test")[:20]:
            assert ids(item.text) == ids(item.prompt) + ids(item.answer)
            assert tokenizer.decode(ids(item.text)) == item.text
    before, after = {"bert": ([4], [5]), "t5": ([], [2])}.get(kind, ([1], []))
    assert tokenizer("A kite.")["input_ids"] == before + ids("A kite.") + after


def test_chats_are_rendered_as_in_training():
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ZOO / "llama-chat")
    turns = [
        {"role": "user", "content": "Question: What is 1 + 1?\nAnswer:"},
        {"role": "assistant", "content": " 1 + 1 = 2, so 2"},
        {"role": "user", "content": "\nTherefore"},
    ]
    assert tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == (
        "<s><|user|>Question: What is 1 + 1?\nAnswer:<|end|><|assistant|>1 + 1 = 2, so 2<|end|>"
        "<|user|>\nTherefore<|end|><|assistant|>"
    )
