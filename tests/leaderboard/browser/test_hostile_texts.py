"""Answers made of HTML, script, Markdown images, ANSI codes, direction marks and a line of 5 MB do nothing on any page."""

from __future__ import annotations

import time

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

#: Bytes of a page's elements: the 5 MB must not be among them.
_MOST_CHARACTERS = 2_000_000
_PAGES = {
    "task": "task?task=quiz&documents=true",
    "compare": "compare?models=beta,alpha&document=doc-1",
    "list of samples": "samples?run={alpha}&task=quiz",
    "HTML": "samples?run={alpha}&task=quiz&document=doc-0",
    "Markdown": "samples?run={alpha}&task=quiz&document=doc-1",
    "terminal codes": "samples?run={alpha}&task=quiz&document=doc-2",
    "half a pair": "samples?run={alpha}&task=quiz&document=doc-3",
    "a line of 5 MB": "samples?run={alpha}&task=quiz&document=doc-4",
    "arena": "arena?task=quiz",
    "runs": "runs",
    "run": "run?run={alpha}",
    "model": "model?model=alpha",
}


@pytest.mark.parametrize("name", _PAGES)
def test_hostile_texts_do_nothing(name, visit, run_ids):
    begun = time.perf_counter()
    page = visit.open(f"/{_PAGES[name].format_map(run_ids)}")
    took = time.perf_counter() - begun
    assert page.get_by_test_id("stException").count() == 0
    assert page.evaluate("document.querySelectorAll('[onerror], a[href^=\"javascript:\"], img[src=x]').length") == 0
    assert page.evaluate("document.body.innerText.match(/[\\u202a-\\u202e\\u2066-\\u2069\\x1b]/)") is None
    assert page.evaluate("document.documentElement.outerHTML.length") < _MOST_CHARACTERS
    assert took < 20, "a page with a long line takes about a second; a browser that lays out 5 MB takes minutes"
    page.mouse.wheel(0, 500)
    assert page.evaluate("1 + 1") == 2


def test_hostile_texts_are_shown_as_they_are(visit, run_ids):
    page = visit.open(f"/samples?run={run_ids['alpha']}&task=quiz&document=doc-0")
    # The grid keeps a hidden copy of its cells for screen readers, which may come first.
    expect(page.get_by_text("<script>alert(1)</script>").filter(visible=True).first).to_be_visible()
