"""Where the arena's pages get their data: stored answers, people's votes, and what these say, kept between reruns."""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Mapping
from typing import cast

import numpy as np
import streamlit as st

from evalharness.arena.answers import AnsweredTask, StoredAnswer, read_answers
from evalharness.arena.pairs import Answered, by_task
from evalharness.arena.store import VoteStore, open_votes
from evalharness.arena.strengths import RubricMean, Strengths, rubric_agreement, rubric_means, strengths_of
from evalharness.arena.votes import DEFAULT_RUBRIC, RUBRIC_VARIABLE
from evalharness.index import queries
from evalharness.index.index import RunIndex
from evalharness.request import derived_seed
from evalharness.run.store import ResultStore
from evalharness.stats.agreement import Agreement
from evalharness.stats.comparison_likelihood import TieModel
from leaderboard import source


def votes() -> VoteStore:
    """Return the store of votes; raises StoreError where the results are remote and no place is named."""
    return open_votes(source.store().root)


def rubric() -> tuple[str, ...]:
    """Return the criteria that single answers are rated by: those of the environment variable EVALHARNESS_RUBRIC."""
    named = [part.strip() for part in os.environ.get(RUBRIC_VARIABLE, "").split(",")]
    return tuple(dict.fromkeys(filter(None, named))) or DEFAULT_RUBRIC


def answered() -> Answered:
    """Return which runs hold the answers to which generate tasks by which models."""
    index = source.index()
    return _answered(index, index.version())


def answers(entry: AnsweredTask) -> Mapping[str, StoredAnswer]:
    """Return one model's answers to one task; raises StoreError when they cannot be read."""
    return _answers(source.store().root, entry.place, entry.task)


def strengths(ties: str) -> Strengths:
    """Return what all votes say; raises StoreError when they cannot be read."""
    store = votes()
    return _strengths(store, store.shown, store.version(), ties)


def rubric_results() -> tuple[list[RubricMean], dict[str, Agreement]]:
    """Return the means of all ratings, and how far raters agree; raises StoreError when they cannot be read."""
    store = votes()
    return _rubric(store, store.shown, store.version())


def generator(*names: str) -> np.random.Generator:
    """Return a generator that gives the same draw again when a page is loaded again, but cannot be foreseen."""
    return np.random.default_rng(derived_seed(_salt(), *names))


@functools.cache
def _salt() -> str:
    return secrets.token_hex(16)


# resources are not copied at every use, as data are
@st.cache_resource(show_spinner=False, max_entries=2)
def _answered(_index: RunIndex, version: str) -> Answered:
    return by_task(AnsweredTask(*row) for row in queries.generated(_index))


# runs never change, so no version is needed
@st.cache_resource(show_spinner=False, max_entries=64)
def _answers(root: str, place: str, task: str) -> Mapping[str, StoredAnswer]:
    return read_answers(ResultStore(root), AnsweredTask(task, "", "", place))


@st.cache_data(show_spinner="Rating models ...", max_entries=4)
def _strengths(_store: VoteStore, shown: str, version: str, ties: str) -> Strengths:
    return strengths_of(_store.votes(), ties=cast("TieModel", ties))


@st.cache_data(show_spinner=False, max_entries=2)
def _rubric(_store: VoteStore, shown: str, version: str) -> tuple[list[RubricMean], dict[str, Agreement]]:
    ratings = _store.ratings()
    return rubric_means(ratings), rubric_agreement(ratings)
