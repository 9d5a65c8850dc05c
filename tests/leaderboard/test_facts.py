"""What is known of models, and what filters let through."""

import dataclasses

import pytest

from leaderboard.facts import UNKNOWN, Filters, ModelFacts, is_found

SMALL = ModelFacts(
    model="small",
    place="results/small/1",
    run_id="1",
    family="zoo",
    architecture="decoder",
    step=None,
    licence="MIT",
    precision="float32",
    backend="transformers",
    date="2026-02-01",
    n_parameters=1_000_000,
    n_training_tokens=None,
    tokens_per_second=10.0,
    peak_bytes=2**30,
    machine="cpu",
)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters({}), True),
        (Filters({"family": ["zoo"], "licence": []}), True),
        (Filters({"family": ["zoo"], "licence": ["Apache-2.0"]}), False),
        (Filters({}, least_parameters=1e6, most_parameters=1e6), True),
        (Filters({}, least_parameters=2e6), False),
        (Filters({}, most_parameters=0.5e6), False),
        (Filters({}, since="2026-02-01"), True),
        (Filters({}, since="2026-02-02"), False),
    ],
)
def test_a_model_passes_that_meets_every_filter(filters, passes):
    assert filters.passes(SMALL) is passes


def test_a_model_of_unknown_size_has_no_place_in_a_range_of_sizes():
    unknown = dataclasses.replace(SMALL, n_parameters=None)
    assert not Filters({}, most_parameters=1e12).passes(unknown)
    assert Filters({"licence": [UNKNOWN]}).passes(dataclasses.replace(SMALL, licence=UNKNOWN))


def test_a_search_finds_words_in_any_case_and_order():
    assert is_found("Zoo-LLaMA-tiny", "TINY llama")
    assert not is_found("zoo-llama-tiny", "tiny t5")
    assert is_found("anything", "  ")
