"""Every page in the light on a desk and in the dark on a telephone: drawn within the screen, readable for everybody."""

from __future__ import annotations

import pytest

from leaderboard.pages import PAGES

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

_PARAMETERS = {
    "task": "task=demo_multiple_choice&documents=true",
    "model": "model=zoo-llama-small",
    "compare": "models=zoo-llama-tiny,zoo-llama-small&task=demo_summary",
    "samples": "run={zoo-llama-small}&task=demo_qa",
    "arena": "task=demo_summary",
    "run": "run={zoo-llama-small}",
}
_SERIOUS = ("serious", "critical")
#: What Streamlit draws and no setting of ours can mend: rule of axe-core, screen, part of Streamlit's frontend, and why.
STREAMLITS_OWN = {
    (
        "color-contrast",
        "dark, telephone",
        "stButtonGroup",
    ): "what is chosen is written in the primary colour on a tint of it, and"
    " tags are white on the same colour: in the dark none has a contrast of 4.5 with both; ours has 3.8 on its tint",
    ("color-contrast", "dark, telephone", "stMultiSelect"): "the tags of the line above, white on the primary colour",
}
#: The parts of Streamlit's frontend that an element lies in.
_PARTS = """element => {
  const parts = [];
  for (let each = element; each; each = each.parentElement) if (each.dataset.testid) parts.push(each.dataset.testid);
  return parts;
}"""

SCREENS = {
    "light, desk": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark, telephone": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("view", [page.view for page in PAGES])
def test_the_page_is_drawn_within_the_screen_and_without_serious_violations(view, screen, visiting, run_ids):
    parameters = _PARAMETERS.get(view, "").format_map(run_ids)
    visit = visiting(**SCREENS[screen])
    page = visit.open(f"/{'' if view == PAGES[0].view else view}?{parameters}")
    assert page.get_by_test_id("stException").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert luminance(page) > 0.9 if "light" in screen else luminance(page) < 0.1
    assert violations(page, screen) == []


def luminance(page):
    """Return how light the page's ground is, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    red, green, blue = (int(each) for each in colour[4:-1].split(",")[:3])
    return (red + green + blue) / 3 / 255


def violations(page, screen):
    """Return the serious violations in what is ours, as rule and element."""
    found = [
        (violation["id"], node)
        for violation in axe.Axe().run(page).response["violations"]
        if violation["impact"] in _SERIOUS
        for node in violation["nodes"]
    ]
    return [(rule, node["html"]) for rule, node in found if not _is_streamlits(page, (rule, screen), node["target"][0])]


def _is_streamlits(page, violation, selector):
    parts = page.locator(selector).first.evaluate(_PARTS)
    return any((*violation, part) in STREAMLITS_OWN for part in parts)
