"""What visitors do, in a real browser: find, sort, follow, compare, read, vote, save."""

from __future__ import annotations

import csv
import io
import re

import pytest
from grid import choose_row, click_head

expect = pytest.importorskip("playwright.sync_api").expect

MODELS = ("zoo-llama-tiny", "zoo-llama-small", "fake")
#: Where the head of the column lies, from the left of the grid.
_SCORE_HEAD = 340


def heading(page):
    return page.get_by_role("heading", level=1)


def test_the_first_page_shows_the_suite_and_its_models(visit):
    page = visit.open("/")
    expect(heading(page)).to_have_text("Leaderboard")
    expect(page.get_by_text("3 models, 3 with all tasks; 3 tasks.")).to_be_visible()
    expect(page.get_by_text("Three tasks for the tests of pages.")).to_be_visible()
    assert page.title() == "Leaderboard · evalharness"


def test_what_is_chosen_stands_in_the_address_and_comes_back_from_it(visiting):
    visit = visiting()
    page = visit.open("/")
    page.get_by_role("textbox", name="Search").fill("tiny")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]q=tiny"))
    page.get_by_role("combobox", name=re.compile("Score")).click()
    page.get_by_role("option", name="macro").click()
    expect(page).to_have_url(re.compile(r"score=macro"))
    visit.drawn()
    again = visiting()
    copy = again.open(page.url.removeprefix(visit.origin))
    expect(copy.get_by_role("textbox", name="Search")).to_have_value("tiny")
    expect(
        copy.get_by_text("Mean over tasks of the scores as fractions, every task with the same weight.")
    ).to_be_visible()


def test_a_table_is_sorted_by_a_click_on_a_head_and_a_row_leads_to_its_model(visit):
    page = visit.open("/")
    click_head(page, _SCORE_HEAD)  # rising: the worst model comes first
    choose_row(page, 0)
    page.get_by_role("button", name="Open the model's page").click()
    expect(heading(page)).to_have_text("fake")
    expect(page).to_have_url(re.compile(r"/model\?model=fake"))
    visit.drawn()


def test_two_rows_are_compared_and_a_lost_document_is_read_side_by_side(visit):
    page = visit.open("/")
    choose_row(page, 0)
    choose_row(page, 1)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page).to_have_url(re.compile(r"/compare\?models=zoo-llama-small"))
    expect(page.get_by_text("baseline: zoo-llama-small")).to_be_visible()
    expect(page.get_by_text(re.compile("mean gain over 3 tasks"))).to_be_visible()
    visit.drawn()
    choose_row(page, 0, grid=page.get_by_test_id("stDataFrame").count() - 2)
    expect(page).to_have_url(re.compile("document="))
    expect(page.get_by_text("What the baseline said; marked lines are its alone")).to_be_visible()
    expect(page.get_by_test_id("stCode").nth(-2)).to_contain_text("- ")
    expect(page.get_by_test_id("stCode").last).to_contain_text("+ ")
    visit.drawn()


def test_a_wrong_sample_is_found_and_its_address_shows_it_again(visiting, run_ids):
    visit = visiting()
    page = visit.open(f"/samples?run={run_ids['zoo-llama-tiny']}&task=demo_qa&show=wrong")
    expect(page.get_by_text(re.compile(r"\d+ of 30 samples"))).to_be_visible()
    choose_row(page, 0)
    expect(page).to_have_url(re.compile("document="))
    expect(page.get_by_role("heading", name="Sample", exact=True)).to_be_visible()
    visit.drawn()
    copy = visiting().open(page.url.removeprefix(visit.origin))
    expect(copy.get_by_role("heading", name="Sample", exact=True)).to_be_visible()


def test_a_vote_is_blind_and_names_are_told_after_it(visit):
    page = visit.open("/arena?task=demo_summary")
    expect(page.get_by_role("button", name=re.compile("A is better"))).to_be_visible()
    before = b"".join(visit.frames) + page.content().encode()
    assert visit.frames
    assert [name for name in (*MODELS, "llama") if name.encode() in before] == []
    page.keyboard.press("a")
    expect(page.get_by_text("Stored: ")).to_be_visible()
    expect(page.get_by_text(re.compile("^A is by "))).to_be_visible()
    visit.drawn()
    page.get_by_role("button", name=re.compile("Next pair")).click()
    expect(page.get_by_role("button", name=re.compile("A is better"))).to_be_visible()
    visit.drawn()


def test_the_table_is_saved_as_csv_with_every_model_and_task(visit):
    page = visit.open("/")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    table = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert table[0]["model"] == "zoo-llama-small"
    assert {row["model"] for row in table} == set(MODELS)
    assert all(0 <= float(row["demo_multiple_choice"]) <= 1 for row in table)


def test_everything_is_reached_by_the_keyboard_alone(visit):
    page = visit.open("/")
    tab_to(page, page.get_by_role("textbox", name="Search"))
    page.keyboard.type("small")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=small"))
    visit.drawn()
    tab_to(page, page.get_by_role("button", name="Markdown", exact=True))
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Methods"), keys="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/methods"))
    visit.drawn()


def tab_to(page, target, *, keys="Tab"):
    for _ in range(60):
        page.keyboard.press(keys)
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {keys}")
