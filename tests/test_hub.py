"""A hub that does not answer is found out quickly, and the switches of the libraries stay as they were."""

import http.server
import subprocess
import sys
import threading
import time

import pytest
from huggingface_hub import constants

from evalharness import hub
from evalharness.hub import hub_or_cache, why_out_of_reach

UNKNOWN = "nobody/no-such-thing"


@pytest.fixture(autouse=True)
def asked_anew():
    hub.hub_answers.cache_clear()
    yield
    hub.hub_answers.cache_clear()


@pytest.fixture
def answering(monkeypatch):
    """A server that refuses everything; a refusal is an answer."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def unreachable(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_hub_that_answers_anything_is_asked(answering):
    with hub_or_cache(UNKNOWN):
        assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_does_not_answer_is_left_out_and_the_switch_put_back(unreachable):
    with hub_or_cache(UNKNOWN):
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_a_fault_within_puts_the_switch_back_too(unreachable):
    with pytest.raises(RuntimeError), hub_or_cache(UNKNOWN):
        raise RuntimeError
    assert not constants.HF_HUB_OFFLINE


def test_local_paths_ask_nobody(unreachable, tmp_path):
    with hub_or_cache(str(tmp_path), None):
        assert not constants.HF_HUB_OFFLINE


def test_a_name_that_is_resolved_forever_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.get_session", lambda: time.sleep(5))
    begun = time.perf_counter()
    assert not hub.hub_answers()
    assert time.perf_counter() - begun < 2


def test_documents_on_an_unreachable_hub_are_refused_in_our_words_within_seconds(tmp_path):
    task = tmp_path / "t.yaml"
    task.write_text(f"name: t\ndata: {{path: {UNKNOWN}}}\nprompt: x\nreference: y\noutput: generate\n")
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "evalharness", "tasks", "validate", str(task)],
        capture_output=True,
        text=True,
        env={"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin"},
        check=False,
    )
    assert time.perf_counter() - begun < 20  # five silent retries alone took 23 s; importing is slow on a busy machine
    assert done.returncode == 2
    assert "cannot be read from the hub" in done.stderr
    assert "Retrying" not in done.stderr


def test_a_model_is_out_of_reach_for_a_reason(unreachable):
    assert "the hub cannot be reached" in why_out_of_reach(UNKNOWN, "config.json")


def test_a_model_that_the_hub_does_not_have_is_out_of_reach(answering):
    assert UNKNOWN in why_out_of_reach(UNKNOWN, "config.json")


def test_a_cached_model_is_in_reach_without_a_request(unreachable, monkeypatch, tmp_path):
    snapshot = tmp_path / "models--nobody--cached" / "snapshots" / "1234"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1234")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert why_out_of_reach("nobody/cached", "config.json") is None


def test_a_model_that_is_not_cached_is_out_of_reach_offline(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in why_out_of_reach(UNKNOWN, "config.json")
