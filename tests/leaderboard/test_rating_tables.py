"""Rows and sentences about votes: every number with what it rests on, every gap with its reason."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
sys.path.insert(0, str(Path(__file__).parents[1] / "arena"))
from arena_cases import rating, vote

from evalharness.arena.strengths import rubric_agreement, rubric_means, strengths_of
from leaderboard.rating_tables import (
    cautions,
    forest_rows,
    matrix_rows,
    rubric_rows,
    share_text,
    strength_rows,
    strengths_csv,
)
from leaderboard.win_matrix import win_matrix

OUTCOMES = ("first", "first", "second", "tie")
VOTES = [vote(outcome, voter=f"v{i}", document=f"d{j}") for i in range(3) for j, outcome in enumerate(OUTCOMES)]


def test_a_model_without_points_has_its_reason_in_the_table_and_no_place_in_the_plot():
    found = strengths_of([*VOTES, vote("first", document="x", second="c")])
    last = strength_rows(found)[-1]
    assert (last["model"], last["rank"], last["points"], last["interval"]) == ("c", "-", None, "-")
    assert "not linked" in last["note"]
    assert [row.label for row in forest_rows(found)] == ["a", "b"]
    assert "1 of 3 models have no points" in " ".join(cautions(found))


def test_the_matrix_shows_both_sides_of_every_pair_that_met():
    rows = {(row["row"], row["column"]): row for row in matrix_rows(strengths_of(VOTES), ["a", "b"])}
    # of each voter's 4 votes a won 2, tied 1, lost 1
    assert rows["a", "b"]["share"] == pytest.approx(7.5 / 12)
    assert rows["b", "a"]["share"] == pytest.approx(4.5 / 12)
    assert rows["a", "b"]["said"] == "won 6, tied 3, lost 3"


def test_the_matrix_is_drawn_with_names_as_text():
    names = ["<b>x</b>", "y\x1b[31m"]
    found = strengths_of([vote(each.outcome, document=each.document_id, first=names[0], second=names[1], voter=each.voter)
                          for each in VOTES])  # fmt: skip
    chart = json.dumps(win_matrix(matrix_rows(found, names), names).to_dict())
    assert "1. <b>x</b>" in chart
    assert "\\u001b" not in chart


def test_the_file_is_safe_for_spreadsheets_and_has_full_precision():
    renamed = [vote(each.outcome, document=each.document_id, first="=cmd()", voter=each.voter) for each in VOTES]
    found = strengths_of(renamed)
    (first, second) = csv.DictReader(io.StringIO(strengths_csv(found)))
    assert {first["model"], second["model"]} == {"'=cmd()", "b"}
    assert float(first["points"]) == found.models[0].points


def test_few_voters_are_a_caution():
    assert "3 voters are few" in cautions(strengths_of(VOTES))[0]
    alone = [each for each in VOTES if each.voter == "v0"]
    assert "one voter's" in cautions(strengths_of(alone))[0]


def test_a_share_without_votes_says_why():
    assert share_text(strengths_of([]).tie_share) == ("-", "there are no votes yet")


def test_the_rubric_has_a_row_a_model_and_criterion():
    ratings = [rating(value, voter=f"v{value}", model=model) for model in "ab" for value in (2, 4)]
    rows = rubric_rows(rubric_means(ratings), rubric_agreement(ratings))
    assert [(row["model"], row["mean"], row["ratings"], row["voters"]) for row in rows] == [
        ("a", 3, 2, 2),
        ("b", 3, 2, 2),
    ]
    (single,) = rubric_rows(rubric_means(ratings[:1]), rubric_agreement(ratings[:1]))
    assert single["interval"] == "-"
    assert single["note"]
