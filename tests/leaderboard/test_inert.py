"""Strangers' texts are harmless on the pages: cut, in code or plain text, controls as escapes."""

import time

import pytest

pytest.importorskip("streamlit")
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.inert import CELL_CHARACTERS, cell, cut, harmless, in_markdown


@given(st.text(st.characters(exclude_categories=())))
def test_harmless_texts_can_be_encoded_and_hold_no_controls(text):
    shown = harmless(text)
    shown.encode("utf-8")
    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066"]


def test_a_short_text_is_shown_as_it_is():
    assert cut("a\tb\nc ", 10) == cut("a\tb\nc ", 100)
    assert cut("<b>![x](y)</b>").text == "<b>![x](y)</b>"


def test_a_long_text_keeps_its_beginning_and_end_and_says_what_is_missing():
    shown = cut("a" * 60 + "b" * 60, 20)
    assert shown.n_left_out == 100
    assert shown.text == "a" * 10 + "\n[... 100 characters left out ...]\n" + "b" * 10


def test_a_line_of_megabytes_is_cut_at_once():
    line = "x " * 5_000_000
    begun = time.perf_counter()
    assert len(cut(line).text) < 11_000
    assert len(cell(line)) <= CELL_CHARACTERS + 1
    assert time.perf_counter() - begun < 0.1  # a search through all of it takes longer


def test_a_cell_is_one_line_of_the_beginning_or_the_end():
    assert cell(" a\n\n b ") == "a b"
    assert cell(None) == "-"
    assert cell("1" + "x" * 1000).startswith("1")
    assert cell("x" * 1000 + "1", end=True).endswith("1")


@pytest.mark.parametrize(
    "name", ["![i](http://x)", "<b>", "a:red[b]", "www.attacker.example", "`x`", "$x$", "a\nb", "ä" * 90, ""]
)
def test_a_name_that_could_be_markup_is_no_heading(name):
    assert in_markdown(name) is None


def test_a_plain_name_is_a_heading_with_its_marks_escaped():
    assert in_markdown("demo_qa-1.5") == r"demo\_qa\-1\.5"
