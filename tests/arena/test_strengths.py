"""What votes say together is what `evalharness.stats` says of them, with names, and reasons where it says nothing."""

import json

import numpy as np
import pytest
from arena_cases import rating, vote

from evalharness.arena.store import VoteStore
from evalharness.arena.strengths import rubric_agreement, rubric_means, strengths_of
from evalharness.cli.main import main
from evalharness.stats import Votes, bradley_terry_of_votes, elo_ratings
from evalharness.stats.intervals import Absent

TRUTH = {"a": 1.0, "b": 0.3, "c": -1.3}


def simulated(n=600, n_voters=30, seed=1, first_effect=0.4):
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        first, second = rng.choice(list(TRUTH), 2, replace=False)
        draw = rng.random()
        wins = rng.random() < 1 / (1 + np.exp(TRUTH[second] - TRUTH[first] - first_effect))
        outcome = "tie" if draw < 0.15 else "both_bad" if draw < 0.2 else "first" if wins else "second"
        found.append(vote(outcome, voter=f"v{i % n_voters}", document=f"d{i}", first=str(first), second=str(second)))
    return found


def test_points_and_intervals_are_those_of_the_statistics_in_the_order_of_strength():
    votes = simulated()
    found = strengths_of(votes)
    assert [each.model for each in found.models] == ["a", "b", "c"]
    codes = {"a": 0, "b": 1, "c": 2}
    value = {"first": 1.0, "tie": 0.5, "both_bad": 0.5, "second": 0.0}
    direct = elo_ratings(
        bradley_terry_of_votes(
            Votes(
                np.array([codes[each.first_model] for each in votes]),
                np.array([codes[each.second_model] for each in votes]),
                np.array([value[each.outcome] for each in votes]),
                voters=np.array([int(each.voter[1:]) for each in votes]),
            ),
            3,
            first_effect=True,
        )
    )
    for each in found.models:
        interval = direct.intervals()[codes[each.model]]
        assert (each.points, each.low, each.high) == pytest.approx(
            (direct.strengths[codes[each.model]], interval.low, interval.high)
        )
    assert sum(each.n_votes for each in found.models) == 2 * len(votes)
    assert all(each.n_votes == each.n_wins + each.n_ties + each.n_losses for each in found.models)


def test_the_advantage_of_being_first_is_found_with_an_interval():
    found = strengths_of(simulated())
    # votes that are ties by chance halve the odds' effect a little, so the true share is below 1 / (1 + e^-0.4) = 0.60
    assert found.first_share.interval.low > 0.5
    assert 0.52 < found.first_share.value < 0.62


def test_ranks_that_the_votes_allow_contain_the_true_ones():
    for each, rank in zip(strengths_of(simulated()).models, (1, 2, 3), strict=True):
        assert each.best_rank <= rank <= each.worst_rank


def test_shares_of_ties_and_both_bad_are_counted():
    votes = simulated()
    found = strengths_of(votes)
    assert found.tie_share.value == np.mean([each.outcome in ("tie", "both_bad") for each in votes])
    assert found.both_bad_share.value == np.mean([each.outcome == "both_bad" for each in votes])
    assert found.tie_share.interval.low < found.tie_share.value < found.tie_share.interval.high


def test_the_matrices_count_every_vote_once():
    votes = simulated()
    found = strengths_of(votes)
    assert found.wins.sum() + found.ties.sum() // 2 == len(votes) == found.n_votes
    assert (found.ties == found.ties.T).all()


def test_no_votes_is_an_absence():
    found = strengths_of([])
    assert found.models == ()
    assert found.absence == "there are no votes yet"
    assert found.tie_share.value is None


def test_skipped_pairs_count_for_nothing_but_are_told():
    found = strengths_of([*simulated(), vote("skipped", document="x", first="a", second="zz")])
    assert found.n_skipped == 1
    assert {each.model for each in found.models} == set(TRUTH)


def test_a_model_that_never_won_is_not_rated_and_has_a_reason_while_the_others_are():
    votes = [*simulated(), *(vote("first", voter=f"v{i}", document=f"n{i}", second="new") for i in range(5))]
    found = strengths_of(votes)
    (new,) = [each for each in found.models if each.model == "new"]
    assert found.models[-1] == new
    assert new.points is None
    assert "not linked" in new.absence
    assert new.n_losses == 5
    assert found.absence is None


def test_votes_that_link_no_two_models_both_ways_give_no_points_at_all():
    found = strengths_of([vote("first", document="1"), vote("first", document="2", first="b", second="c")])
    assert all(each.points is None for each in found.models)
    assert "no two models" in found.absence


def test_votes_of_a_single_voter_have_intervals_of_their_own():
    votes = [vote(each.outcome, document=each.document_id, first=each.first_model, second=each.second_model)
             for each in simulated()]  # fmt: skip
    found = strengths_of(votes)
    assert found.n_voters == 1
    assert all(each.low < each.points < each.high for each in found.models)


def test_votes_in_one_order_only_tell_no_position_effect():
    votes = [vote(outcome, document=str(i), voter=f"v{i % 5}") for i, outcome in enumerate(["first", "second"] * 20)]
    found = strengths_of(votes)
    assert isinstance(found.first_share.interval, Absent)
    assert found.models[0].points is not None


def test_davidsons_model_needs_ties_and_says_so():
    votes = [each for each in simulated() if each.outcome in ("first", "second")]
    assert "no ties" in strengths_of(votes, ties="davidson").absence
    assert strengths_of(simulated(), ties="davidson").models[0].model == "a"


def test_agreement_is_of_voters_on_the_same_document_whatever_side_a_model_was_on():
    agreeing = [vote("first", voter="v1", document=f"d{i}") for i in range(6)]
    agreeing += [vote("second", voter="v2", document=f"d{i}", first="b", second="a") for i in range(6)]
    agreeing += [vote("second", voter=name, document="e") for name in ("v1", "v2")]
    found = strengths_of(agreeing)
    assert found.agreement.n_items == 7
    assert found.agreement.value == 1
    assert found.alpha.value == pytest.approx(1)
    assert isinstance(strengths_of(simulated()).alpha.value, Absent)


def test_means_of_the_rubric_are_clustered_by_voter():
    from evalharness.stats import mean_interval

    values = {("v1", "d1"): 5, ("v1", "d2"): 4, ("v2", "d1"): 2, ("v2", "d3"): 3}
    ratings = [rating(value, voter=voter, document=document) for (voter, document), value in values.items()]
    (found,) = rubric_means(ratings)
    assert (found.model, found.criterion, found.mean, found.n_ratings, found.n_voters) == ("a", "accuracy", 3.5, 4, 2)
    assert found.interval == mean_interval(np.array([5.0, 4, 2, 3]), np.array([0, 0, 1, 1]))
    assert rubric_agreement(ratings)["accuracy"].n_items == 1


def test_the_command_prints_the_same_as_json(tmp_path, capsys):
    votes = simulated(60)
    VoteStore(tmp_path / "votes.sqlite").add(*votes)
    assert main(["arena", "ratings", "--votes", str(tmp_path / "votes.sqlite"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = strengths_of(votes)
    assert [each["model"] for each in printed["models"]] == [each.model for each in found.models]
    assert printed["models"][0]["points"] == found.models[0].points
    assert printed["n_votes"] == 60


def test_the_command_says_that_there_are_no_votes(tmp_path, capsys):
    assert main(["arena", "ratings", "--results", str(tmp_path)]) == 0
    assert "there are no votes yet" in capsys.readouterr().out
