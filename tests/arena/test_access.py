"""A board that others reach is signed in to, or public and without votes; nothing is open by oversight."""

import os
from pathlib import Path

import pytest

from evalharness.arena.access import (
    UNDECIDED,
    Access,
    SignIn,
    access_of_text,
    allowed_hosts,
    configured_sign_in,
    decide_access,
    is_loopback,
    read_secrets,
    signed_in_voter,
)
from evalharness.cli.main import main
from evalharness.errors import UserError

ANYWHERE = "0.0.0.0"  # noqa: S104  # nothing is bound
PROVIDER = {"client_id": "i", "client_secret": "s", "server_metadata_url": "https://id.example/.well-known"}
SHARED = {"redirect_uri": "https://evals.example/oauth2callback", "cookie_secret": "c"}
SIGN_IN = SignIn("evals.example", ("default",))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.7"])
def test_a_board_on_this_machine_alone_is_open_and_takes_votes(host):
    assert decide_access(host, ["localhost"], None) == Access("open", "anonymous")


def test_where_sign_in_is_configured_votes_need_it_even_on_this_machine():
    assert decide_access("127.0.0.1", [], SIGN_IN) == Access("open", "signed-in")


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.4", "evals.example"])
def test_a_board_that_others_reach_needs_a_sign_in_to_read_and_to_vote(host):
    assert decide_access(host, [], SIGN_IN) == Access("signed-in", "signed-in")
    with pytest.raises(UserError, match="--public-read-only"):
        decide_access(host, [], None)


def test_a_name_of_a_proxy_exposes_a_board_that_listens_on_this_machine():
    with pytest.raises(UserError, match=r"evals\.example"):
        decide_access("127.0.0.1", ["evals.example"], None)
    assert decide_access("127.0.0.1", ["evals.example"], SIGN_IN) == Access("signed-in", "signed-in")


@pytest.mark.parametrize("sign_in", [None, SIGN_IN])
@pytest.mark.parametrize("host", ["127.0.0.1", ANYWHERE])
def test_a_public_board_is_read_by_all_and_takes_no_votes(host, sign_in):
    assert decide_access(host, [], sign_in, public_read_only=True) == Access("open", "off")


def test_names_that_only_look_local_are_not():
    assert not any(map(is_loopback, ["localhost.example", "127.0.0.1.example", ANYWHERE, "128.0.0.1", ""]))


def test_access_survives_the_way_to_the_pages_and_nonsense_lets_nobody_vote():
    for access in (Access("open", "anonymous"), Access("signed-in", "signed-in"), Access("open", "off")):
        assert access_of_text(access.text) == access
    for text in ("", "open", "open/everybody", "x/anonymous"):
        assert access_of_text(text) == UNDECIDED == Access("open", "off")


def test_a_board_answers_only_under_its_own_names():
    own = ["box", "10.0.0.5"]
    loopback = {"127.0.0.1", "::1", "localhost"}
    assert set(allowed_hosts("127.0.0.1", [], own)) == loopback
    assert set(allowed_hosts("127.0.0.1", ["evals.example"], own)) == loopback | {"evals.example"}
    assert set(allowed_hosts("10.0.0.5", [], own)) == {"10.0.0.5"}
    assert set(allowed_hosts(ANYWHERE, ["evals.example"], own)) == loopback | {"box", "10.0.0.5", "evals.example"}


def test_sign_in_is_configured_by_one_provider_or_several_named_ones():
    pytest.importorskip("authlib")
    assert configured_sign_in({}, "x") is None
    assert configured_sign_in({"auth": {**SHARED, **PROVIDER}}, "x") == SIGN_IN
    named = {"auth": {**SHARED, "okta": PROVIDER, "google": PROVIDER}}
    assert configured_sign_in(named, "x").providers == ("okta", "google")


def test_all_that_a_sign_in_lacks_is_told_together():
    with pytest.raises(UserError) as caught:
        configured_sign_in({"auth": {"cookie_secret": "c", "okta": {"client_id": "i"}}}, "secrets.toml")
    told = str(caught.value)
    for missing in ("`redirect_uri`", "[auth.okta] lacks `client_secret`", "[auth.okta] lacks `server_metadata_url`"):
        assert missing in told
    assert "cookie_secret" not in told


def test_secrets_that_are_no_toml_are_an_error(tmp_path):
    (tmp_path / "secrets.toml").write_text("auth = [")
    with pytest.raises(UserError, match="cannot be read"):
        read_secrets([tmp_path / "secrets.toml"])
    assert read_secrets([tmp_path / "none.toml"])[0] == {}


def test_a_signed_in_voter_is_named_by_a_hash():
    one = signed_in_voter("https://id.example", "anna@example.org")
    assert "anna" not in one
    assert one == signed_in_voter("https://id.example", "anna@example.org")
    assert one != signed_in_voter("https://other.example", "anna@example.org")


class StartedError(Exception):
    """The board would have started now."""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Where no secrets lie, with the start of the server kept from happening; gives what it would be started with."""
    pytest.importorskip("streamlit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = []

    def start(path, words, environment):
        found.append((words, environment))
        raise StartedError

    monkeypatch.setattr(os, "execve", start)
    return found


@pytest.mark.parametrize("flags", [["--host", ANYWHERE], ["--allowed-host", "evals.example"]])
def test_the_command_refuses_to_expose_a_board_without_sign_in(started, capsys, flags):
    assert main(["board", *flags]) == 2
    told = capsys.readouterr().err
    assert "--public-read-only" in told
    assert "secrets.toml" in told
    assert not started


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the server is a process of its own")
@pytest.mark.parametrize(
    ("flags", "access"),
    [([], "open/anonymous"), (["--host", ANYWHERE, "--public-read-only"], "open/off")],
)
def test_the_command_starts_the_pages_and_the_interface_with_what_was_decided(started, flags, access):
    with pytest.raises(StartedError):
        main(["--debug", "board", "--votes", "v.sqlite", "--rubric", "tone", *flags])
    ((words, environment),) = started
    assert Path(words[4]).name == "asgi.py"
    assert environment["EVALHARNESS_ACCESS"] == access
    assert (environment["EVALHARNESS_VOTES"], environment["EVALHARNESS_RUBRIC"]) == ("v.sqlite", "tone")
    assert "localhost" in words


def test_the_command_refuses_half_a_sign_in(started, tmp_path, capsys):
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit/secrets.toml").write_text('[auth]\ncookie_secret = "c"\n')
    assert main(["board", "--host", ANYWHERE]) == 2
    assert "[auth] lacks `redirect_uri`" in capsys.readouterr().err
