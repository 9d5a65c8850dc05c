"""The snapshot in a browser: its script sorts and searches under its own policy, and every page is readable for everybody."""

from __future__ import annotations

import pytest

from evalharness.run.store import ResultStore
from leaderboard.snapshot.export import write_snapshot
from leaderboard.snapshot.page import file_name

axe = pytest.importorskip("axe_playwright_python.sync_playwright")


@pytest.fixture(scope="module")
def snapshot(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshot")
    write_snapshot(ResultStore(results), folder)
    return folder


@pytest.fixture(params=["light", "dark"])
def page(chromium, snapshot, request):
    """A page that may ask for nothing but the snapshot's files, and may not say anything on its console."""
    faults = []
    opened = chromium.new_page(color_scheme=request.param, viewport={"width": 390, "height": 844})
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    ours = (snapshot.as_uri(), "data:")
    opened.on("request", lambda asked: None if asked.url.startswith(ours) else faults.append(asked.url))
    yield opened
    opened.close()
    assert faults == []


def test_a_click_on_a_head_sorts_the_table_both_ways(page, snapshot):
    page.goto((snapshot / "index.html").as_uri())
    first = page.locator("tbody tr").first.locator("td").nth(1)
    assert first.inner_text() == "zoo-llama-small"
    head = page.get_by_role("columnheader", name="Score")
    head.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), first.inner_text()) == ("descending", "zoo-llama-small")
    head.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), first.inner_text()) == ("ascending", "fake")


def test_no_page_has_a_serious_violation_or_is_wider_than_a_telephone(page, snapshot):
    names = (
        "index.html",
        "tasks.html",
        "compare.html",
        file_name("task", "quiz"),
        file_name("compare", "fake", "zoo-llama-tiny"),
    )
    for name in names:
        page.goto((snapshot / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        # axe's script is ours to run: it is evaluated, which the page's policy does not concern
        found = axe.Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
