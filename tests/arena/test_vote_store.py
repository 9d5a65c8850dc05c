"""Votes are kept once, for ever, and by many writers at a time; SQLite and PostgreSQL hold the same contract."""

import os
import sqlite3
import subprocess
import sys
import uuid

import pytest
from arena_cases import rating, vote

from evalharness.arena.store import VoteStore, open_votes
from evalharness.arena.votes import from_json_lines, to_json_lines
from evalharness.cli.main import main
from evalharness.errors import StoreError

# A throw-away database, such as postgresql://postgres@localhost/postgres; each test makes a schema of its own in it.
POSTGRES = os.environ.get("EVALHARNESS_TEST_POSTGRES")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "sqlite":
        yield str(tmp_path / "votes.sqlite")
        return
    if not POSTGRES:
        pytest.skip("EVALHARNESS_TEST_POSTGRES names no database")
    psycopg = pytest.importorskip("psycopg")
    schema = f"arena_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(POSTGRES) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
    with psycopg.connect(POSTGRES) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def store(place):
    return VoteStore(place)


def test_a_store_that_was_never_written_holds_nothing_and_makes_no_file(tmp_path):
    store = VoteStore(tmp_path / "votes.sqlite")
    assert store.judgements() == []
    assert store.pair_counts() == {}
    assert list(tmp_path.iterdir()) == []


def test_what_was_stored_is_read_back_unchanged(store):
    said = [vote("tie", reason="beides 好 \u2028 'x'; --"), vote(document="d2"), rating(4)]
    assert store.add(*said) == 3
    assert store.judgements() == said


def test_a_second_vote_on_the_same_pair_and_document_is_refused_even_with_sides_swapped(store):
    assert store.add(vote("first")) == 1
    assert store.add(vote("second")) == 0
    assert store.add(vote("first", first="b", second="a")) == 0
    assert store.votes() == [vote("first")]
    assert store.add(vote("second", voter="v2")) == 1


def test_a_second_rating_of_the_same_answer_is_refused(store):
    assert store.add(rating(5)) == 1
    assert store.add(rating(1), rating(2, criterion="fluency")) == 1
    assert [each.value for each in store.ratings()] == [5, 2]


@pytest.mark.parametrize("statement", ["DELETE FROM arena_vote", "UPDATE arena_vote SET outcome = 'second'"])
def test_the_database_refuses_to_change_or_delete_a_vote(store, statement):
    store.add(vote())
    with pytest.raises(StoreError, match="judgements never change"), store._database.writing() as connection:
        connection.change(statement)
    assert store.votes() == [vote()]


def test_counts_of_pairs_do_not_depend_on_sides(store):
    store.add(
        vote("first", document="d1"),
        vote("second", document="d2", first="b", second="a"),
        vote("both_bad", document="d3", first="b", second="a"),
        vote("second", document="d4"),
        vote("skipped", document="d5"),
    )
    assert store.pair_counts() == {("a", "b"): (2, 1, 1)}


def test_what_a_voter_saw_is_remembered_with_skips(store):
    store.add(vote("skipped"), vote(document="d2", first="b", second="a"), vote(document="d3", voter="v2"), rating(3))
    assert store.judged_documents("v1", "qa", ("b", "a")) == {"hash-d1", "hash-d2"}
    assert store.rated_documents("v1", "qa", "a") == {"hash-d1"}
    assert store.rated_documents("v1", "qa", "b") == set()


def test_the_version_changes_with_every_judgement(store):
    versions = [store.version()]
    for each in (vote(), rating(2), vote(document="d2")):
        store.add(each)
        versions.append(store.version())
    assert len(set(versions)) == 4


def test_old_votes_are_not_recent(store):
    from evalharness.arena.votes import now

    store.add(vote(), vote(document="d2", voted=now()), rating(3))
    assert store.n_recent("v1", 60) == 1


def test_an_export_restores_an_empty_store_and_adds_nothing_to_a_full_one(store, tmp_path):
    store.add(vote("tie", reason="a\nb"), vote(voter="v2"), rating(1), rating(5, voter="v2"))
    text = to_json_lines(store.judgements())
    other = VoteStore(tmp_path / "other.sqlite")
    assert other.merge(from_json_lines(text, "x")) == (4, 0)
    assert to_json_lines(other.judgements()) == text
    assert store.merge(from_json_lines(text, "x")) == (0, 4)


def test_an_import_that_contradicts_a_stored_vote_stores_nothing(store):
    store.add(vote("first"))
    with pytest.raises(StoreError, match="another judgement"):
        store.merge([vote(document="d9"), vote("second")])
    assert store.votes() == [vote("first")]


def test_the_commands_export_and_import_through_files(tmp_path, capsys):
    VoteStore(tmp_path / "results/arena/votes.sqlite").add(vote(), rating(2))
    common = ["--results", str(tmp_path / "results")]
    assert main(["arena", "export", "-o", str(tmp_path / "votes.jsonl"), *common]) == 0
    place = str(tmp_path / "new/votes.sqlite")
    assert main(["arena", "import", str(tmp_path / "votes.jsonl"), "--votes", place]) == 0
    assert "stored 2 new, 0 were there already" in capsys.readouterr().out
    assert VoteStore(place).judgements() == [vote(), rating(2)]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("", "no exported votes"),
        ('{"kind": "evalharness.arena", "schema_version": 99}\n', "schema version 99"),
        ('{"kind": "evalharness.arena", "schema_version": 1}\n{"kind": "vote", "voter": "x"}\n', "x:2: task"),
        ('{"kind": "evalharness.arena", "schema_version": 1}\n[]\n', "x:2: neither a vote nor a rating"),
    ],
)
def test_a_file_that_is_no_export_is_told_with_its_line(lines, complaint):
    with pytest.raises(StoreError, match=complaint):
        from_json_lines(lines, "x")


@pytest.mark.parametrize("content", [b"not a database, far from it " * 40, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_file_is_an_error_and_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "votes.sqlite"
    path.write_bytes(content)
    for attempt in (lambda: VoteStore(path).votes(), lambda: VoteStore(path).add(vote())):
        with pytest.raises(StoreError, match="damaged and is left as it is"):
            attempt()
    assert path.read_bytes() == content


def test_votes_of_a_newer_version_are_not_touched(tmp_path):
    store = VoteStore(tmp_path / "votes.sqlite")
    store.add(vote())
    with sqlite3.connect(tmp_path / "votes.sqlite") as connection:
        connection.execute("UPDATE arena_schema SET version = 99")
    with pytest.raises(StoreError, match="99"):
        store.add(vote(document="d2"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        VoteStore(tmp_path / "file" / "votes.sqlite").add(vote())


def test_votes_on_remote_results_need_a_place_of_their_own(tmp_path, monkeypatch):
    monkeypatch.delenv("EVALHARNESS_VOTES", raising=False)
    with pytest.raises(StoreError, match="EVALHARNESS_VOTES"):
        open_votes("s3://bucket/results")
    monkeypatch.setenv("EVALHARNESS_VOTES", str(tmp_path / "votes.sqlite"))
    assert open_votes("s3://bucket/results").shown == str(tmp_path / "votes.sqlite")


def test_a_password_is_never_shown():
    assert "geheim" not in VoteStore("postgresql://board:geheim@127.0.0.1:1/arena").shown
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        VoteStore("postgresql://board:geheim@127.0.0.1:1/arena").votes()
    assert "geheim" not in str(caught.value)


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from arena_cases import vote
from evalharness.arena.store import VoteStore
store = VoteStore(sys.argv[1])
new = [store.add(vote(document=f"d{i}"), vote(voter=sys.argv[2], document=f"d{i}")) for i in range(40)]
print(sum(new))
"""


@pytest.mark.slow
def test_two_processes_write_at_once_and_nothing_is_lost_or_doubled(place):
    command = [sys.executable, "-c", WRITER, place]
    here = os.path.dirname(__file__)  # noqa: PTH120  # an argument for the other process
    writers = [subprocess.Popen([*command, name, here], stdout=subprocess.PIPE, text=True) for name in ("p", "q")]
    counts = [int(writer.communicate(timeout=120)[0]) for writer in writers]
    assert sum(counts) == 120  # 40 of each writer's own, and 40 that both wrote and one of them got
    votes = VoteStore(place).votes()
    assert len(votes) == 120
    assert len({(each.voter, each.document_id) for each in votes}) == 120
