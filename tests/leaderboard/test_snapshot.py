"""The static pages: complete, harmless, the same for the same results, and nobody else's files are touched."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest
from board_cases import store_run, task_record
from page_cases import ATTACKS, write_corrupt, write_run, write_unfinished

from evalharness.cli.main import main
from evalharness.errors import StoreError, UserError
from evalharness.run.store import ResultStore
from leaderboard.snapshot.export import MANIFEST, SnapshotSettings, write_snapshot
from leaderboard.snapshot.interval_picture import IntervalRow, interval_picture, ticks
from leaderboard.snapshot.page import file_name


class Page(html.parser.HTMLParser):
    """What a page links to, the texts of its style and script, and the names of all its elements."""

    def __init__(self, content):
        super().__init__()
        self.links, self.policy, self.elements, self.inside, self._open = [], "", [], {}, ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        self._open = tag

    def handle_data(self, data):
        if self._open in ("style", "script"):
            self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = ""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A snapshot of runs whose names and texts attack, beside an unfinished and a corrupt run."""
    root, folder = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("snapshot")
    write_run(root, "alpha", (True,) * 5, answers=ATTACKS)
    write_run(root, "<script>alert(1)</script>", (False,) * 4 + (True,))
    write_run(root, "=HYPERLINK(1)\u202e", (True, False, True, False, True), task="<img src=x>")
    write_unfinished(root)
    write_corrupt(root)
    write_snapshot(ResultStore(root), folder)
    return root, folder


def pages_of(folder):
    return {path.name: Page(path.read_text()) for path in sorted(folder.glob("*.html"))}


def test_the_snapshot_has_a_page_for_the_suites_every_task_and_every_pair_of_models(hostile):
    kinds = [name.split("-")[0].removesuffix(".html") for name in pages_of(hostile[1])]
    assert (kinds.count("index"), kinds.count("tasks"), kinds.count("task")) == (1, 1, 2)
    assert kinds.count("compare") == 1 + 3


def test_every_link_leads_to_a_file_of_the_snapshot(hostile):
    for page in pages_of(hostile[1]).values():
        assert [each for each in page.links if each != "data:," and not (hostile[1] / each).is_file()] == []


def test_no_text_of_strangers_becomes_an_element(hostile):
    for page in pages_of(hostile[1]).values():
        names = [tag for tag, _ in page.elements]
        assert names.count("script") == 1
        assert "img" not in names
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_no_control_or_direction_character_is_written(hostile):
    for path in hostile[1].glob("*.html"):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", path.read_text())


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else(hostile):
    for page in pages_of(hostile[1]).values():
        digest = {
            name: base64.b64encode(hashlib.sha256(page.inside[name].encode()).digest()).decode() for name in page.inside
        }
        assert "default-src 'none'" in page.policy
        assert f"style-src 'sha256-{digest['style']}';" in page.policy
        assert f"script-src 'sha256-{digest['script']}';" in page.policy
        assert not [attributes for _, attributes in page.elements if "style" in attributes]


def test_equal_results_give_equal_bytes(hostile, tmp_path):
    write_snapshot(ResultStore(hostile[0]), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in hostile[1].iterdir()
    }


def test_pages_that_are_no_longer_written_are_removed(tmp_path):
    write_run(tmp_path / "results", "alpha")
    write_run(tmp_path / "results", "beta")
    store, folder = ResultStore(tmp_path / "results"), tmp_path / "snapshot"
    write_snapshot(store, folder)
    assert (folder / file_name("compare", "beta", "alpha")).exists()
    write_snapshot(store, folder, SnapshotSettings(n_compared=0))
    assert not (folder / file_name("compare", "beta", "alpha")).exists()


def test_a_folder_with_files_of_others_is_refused_and_left_alone(tmp_path):
    write_run(tmp_path / "results", "alpha")
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="files that no snapshot wrote"):
        write_snapshot(ResultStore(tmp_path / "results"), tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_a_store_without_a_finished_run_is_an_error(tmp_path):
    write_unfinished(tmp_path / "results")
    with pytest.raises(StoreError, match="no finished run"):
        write_snapshot(ResultStore(tmp_path / "results"), tmp_path / "snapshot")


def test_an_unknown_suite_is_an_error_that_names_those_there_are(tmp_path):
    write_run(tmp_path / "results", "alpha")
    with pytest.raises(UserError, match="all task"):
        write_snapshot(ResultStore(tmp_path / "results"), tmp_path / "snapshot", SnapshotSettings(suite="all task"))


def test_runs_without_samples_are_said_to_be_incomparable(tmp_path):
    store_run(tmp_path / "results", "alpha", [task_record("quiz", 40)])
    store_run(tmp_path / "results", "beta", [task_record("quiz", 50)])
    write_snapshot(ResultStore(tmp_path / "results"), tmp_path / "snapshot")
    page = (tmp_path / "snapshot" / file_name("compare", "alpha", "beta")).read_text()
    assert "These runs cannot be compared" in page


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_command_takes_the_results_before_and_after_its_name(tmp_path, capsys, place):
    write_run(tmp_path / "results", "alpha")
    results = ["--results", str(tmp_path / "results")]
    folder = str(tmp_path / "snapshot")
    words = ["board", *results, "export", folder] if place == "before" else ["board", "export", folder, *results]
    assert main(words) == 0
    assert "pages" in capsys.readouterr().out


def test_names_that_differ_in_nothing_readable_have_pages_of_their_own():
    assert file_name("task", "a/b") != file_name("task", "a b")
    assert re.fullmatch(r"task-[0-9a-f]{8}\.html", file_name("task", "模型"))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.47, 0.545, [0.48, 0.5, 0.52, 0.54]),
        (-30.0, 990.0, [0, 500]),
        (1, 1, [1]),
    ],
)
def test_ticks_are_round_numbers_within_the_ends(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_picture_bears_values_without_interval_and_without_spread():
    picture = interval_picture([IntervalRow("a & b", 0.5, None, None, "0.5")], "t")
    assert "a &amp; b" in picture
    assert picture.count("<circle") == 1
    assert 'class="bar"' not in picture
