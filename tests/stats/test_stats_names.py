"""`from evalharness.stats import name` works for every public name, and costs nothing until then."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import evalharness.stats


@pytest.mark.parametrize("name", sorted(evalharness.stats._MODULES))
def test_every_listed_name_is_there(name):
    assert getattr(evalharness.stats, name).__name__ == name
    assert name in dir(evalharness.stats)


def test_every_function_stands_in_the_page_on_statistics():
    page = (Path(__file__).parents[2] / "docs/statistics.md").read_text()
    missing = [name for name in evalharness.stats._MODULES if name.islower() and not re.search(rf"`{name}\b", page)]
    assert not missing, f"add to docs/statistics.md: {missing}"


def test_importing_the_room_loads_no_scipy():
    script = "import sys, evalharness.stats; print('scipy' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'mcnemars'"):
        _ = evalharness.stats.mcnemars
