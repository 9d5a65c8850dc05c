"""Two stored answers side by side, and whose they are only after the vote; or one answer, to be rated by itself.

Names stay in `st.session_state`, which never leaves the server: until the vote nothing that is drawn, no key and no address
depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from evalharness.arena.pairs import Answered, Match, Shown, Single, draw_match, draw_single
from evalharness.arena.votes import HIGHEST_RATING, LOWEST_RATING, MOST_REASON_LETTERS, Judgement, Outcome
from evalharness.errors import StoreError
from evalharness.request import plain_prompt
from leaderboard import access, arena_source
from leaderboard.ballot import MOST_A_MINUTE, OUTCOME_TEXTS, Cast, cast_judgements, ratings_of, vote_on
from leaderboard.inert import block, cell
from leaderboard.linking import page_link

_COMPARE, _RATE = "Compare two", "Rate one"
_ALL_TASKS = "all tasks"
#: What is on the page (a `Match` or `Single`, for which filter), and what came of judging it; on the server only.
_SHOWN, _FILTER, _CAST = "arena_shown", "arena_filter", "arena_cast"
_REASON, _FAULT = "arena_reason", "arena_fault"

# the letters C and R belong to Streamlit
_BUTTONS: tuple[tuple[str, Outcome, str], ...] = (
    ("A is better", "first", "A"),
    ("B is better", "second", "B"),
    ("Tie", "tie", "T"),
    ("Both are bad", "both_bad", "X"),
    ("Skip", "skipped", "S"),
)


def main() -> None:
    """Draw the page."""
    st.title("Arena")
    st.caption(
        "Answers of stored runs, judged by people who do not know whose they are. Names are told after the vote."
    )
    if access.access().voting == "off":
        st.info(
            "Voting is switched off on this board: it is open to everybody, or it was not started by `evalharness board`."
        )
        return
    if access.access().voting == "signed-in":
        access.demand_sign_in(key="arena")
    voter = access.voter()
    if voter is None:
        return
    try:
        _judge(voter)
    except StoreError as fault:
        st.error("The answers or the votes cannot be read or written.")
        st.text(str(fault))


def _judge(voter: str) -> None:
    answered = arena_source.answered()
    if not answered:
        st.info("No generated answers yet. Make some with: evalharness run -m zoo-llama-base -t demo_summary")
        return
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    mode = left.segmented_control(
        "Mode", (_COMPARE, _RATE), default=_COMPARE, required=True, key="mode", bind="query-params"
    )
    tasks = [_ALL_TASKS, *answered]
    task = right.selectbox("Task", tasks, key="task", bind="query-params", format_func=cell)
    chosen = (mode, task)
    if st.session_state.get(_FILTER) != chosen:
        st.session_state[_FILTER] = chosen
        _forget()
    if _SHOWN not in st.session_state:
        st.session_state[_SHOWN] = _drawn(voter, mode, task)
    match st.session_state[_SHOWN]:
        case Match() as found:
            _compare(found, voter)
        case Single() as found:
            _rate(found, voter)
        case _:
            _nothing_left(mode, n_models=max(len(models) for models in _chosen(task).values()))


def _chosen(task: str) -> Answered:
    answered = arena_source.answered()
    return answered if task == _ALL_TASKS else {task: answered[task]}


def _drawn(voter: str, mode: str, task: str) -> Match | Single | None:
    answered = _chosen(task)
    store = arena_source.votes()
    rng = arena_source.generator(voter, mode, task, store.version())
    if mode == _RATE:
        return draw_single(
            answered, lambda of, model: store.rated_documents(voter, of, model), arena_source.answers, rng
        )
    return draw_match(
        answered,
        store.pair_counts(),
        lambda of, pair: store.judged_documents(voter, of, pair),
        arena_source.answers,
        rng,
    )


def _nothing_left(mode: str, n_models: int) -> None:
    if mode == _COMPARE and n_models < 2:
        st.info("Only one model has answers here; comparing takes two.")
    else:
        st.info("Nothing was found that you have not judged. Equal answers of two models are left out.")


def _compare(match: Match, voter: str) -> None:
    st.text(f"{cell(match.task)}, document {cell(match.document_id)}")
    block("Prompt", plain_prompt(match.prompt), key="prompt")
    done = st.session_state.get(_CAST)
    for column, side, shown in zip(st.columns(2), "AB", (match.first, match.second), strict=True):
        with column:
            block(f"Answer {side}", shown.text, key=f"answer-{side}")
            if done:
                _told(side, shown)
    if done:
        _said(*done)
        st.button("Next pair", key="arena_next", shortcut="N", type="primary", on_click=_forget)
        return
    for column, (label, outcome, key) in zip(st.columns(len(_BUTTONS)), _BUTTONS, strict=True):
        column.button(
            label,
            key=f"arena_{outcome}",
            shortcut=key,
            width="stretch",
            type="tertiary" if outcome == "skipped" else "secondary",
            on_click=_vote,
            args=(voter, outcome),
        )
    st.text_input("Why? (optional, stored with the vote)", key=_REASON, max_chars=MOST_REASON_LETTERS)
    _warn()


def _rate(single: Single, voter: str) -> None:
    st.text(f"{cell(single.task)}, document {cell(single.document_id)}")
    block("Prompt", plain_prompt(single.prompt), key="prompt")
    block("Answer", single.answer.text, key="answer")
    done = st.session_state.get(_CAST)
    if done:
        _told("The answer", single.answer)
        _said(*done)
        st.button("Next answer", key="arena_next", shortcut="N", type="primary", on_click=_forget)
        return
    st.caption(f"From {LOWEST_RATING} (worst) to {HIGHEST_RATING} (best)")
    criteria = arena_source.rubric()
    values: dict[str, int] = {}
    for i, (column, criterion) in enumerate(zip(st.columns(len(criteria)), criteria, strict=True)):
        scale = range(LOWEST_RATING, HIGHEST_RATING + 1)
        given = column.segmented_control(criterion, scale, key=f"arena_rating_{i}_{single.input_hash[:8]}")
        if given is not None:
            values[criterion] = given
    left, right, _ = st.columns([2, 1, 4])
    complete = len(values) == len(criteria)
    left.button(
        "Save ratings",
        key="arena_save",
        type="primary",
        disabled=not complete,
        on_click=_store_ratings,
        args=(voter, values),
    )
    right.button("Skip", key="arena_skip", shortcut="S", type="tertiary", on_click=_forget)
    _warn()


def _told(side: str, shown: Shown) -> None:
    st.text(f"{side} is by {cell(shown.model)}")
    page_link("run", "its run", run=shown.run_id)


def _said(outcome: Cast, said: str) -> None:
    if outcome == "known":
        st.warning("You judged this before; the first time counts, and nothing was stored.")
    else:
        st.success(f"Stored: {said}.")


def _warn() -> None:
    fault = st.session_state.pop(_FAULT, None)
    if fault:
        st.warning("Your judgement was not stored.")
        st.text(fault)


def _vote(voter: str, outcome: Outcome) -> None:
    match = st.session_state.get(_SHOWN)
    if not isinstance(match, Match) or _CAST in st.session_state:
        return
    vote = vote_on(match, voter, outcome, st.session_state.get(_REASON, ""))
    _keep(voter, [vote], OUTCOME_TEXTS[outcome])
    if outcome == "skipped" and _CAST in st.session_state:
        _forget()


def _store_ratings(voter: str, values: dict[str, int]) -> None:
    single = st.session_state.get(_SHOWN)
    if not isinstance(single, Single) or _CAST in st.session_state:
        return
    said = ", ".join(f"{criterion} {value}" for criterion, value in values.items())
    _keep(voter, ratings_of(single, voter, values), said)


def _keep(voter: str, judgements: Sequence[Judgement], said: str) -> None:
    try:
        outcome = cast_judgements(arena_source.votes(), voter, *judgements)
    except StoreError as fault:
        st.session_state[_FAULT] = f"Nothing was stored: {fault}"
        return
    if outcome == "too fast":
        text = f"More than {MOST_A_MINUTE} in a minute is faster than reading: nothing was stored. Wait a moment."
        st.session_state[_FAULT] = text
    else:
        st.session_state[_CAST] = (outcome, said)


def _forget() -> None:
    for name in (_SHOWN, _CAST):
        st.session_state.pop(name, None)
    st.session_state[_REASON] = ""


main()
