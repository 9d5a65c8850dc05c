"""Who the visitor is, and what they may do here; see `evalharness.arena.access` for how that is decided."""

from __future__ import annotations

import hashlib
import os
import secrets

import streamlit as st

from evalharness.arena.access import (
    ACCESS_VARIABLE,
    UNDECIDED,
    Access,
    SignIn,
    access_of_text,
    configured_sign_in,
    decide_access,
    is_loopback,
    read_secrets,
    secrets_files,
    signed_in_voter,
)

#: Set by the server (`leaderboard.asgi`), so that a voter stays the same person when the page is loaded again.
VOTER_COOKIE = "evalharness_voter"
_VOTER = "anonymous_voter"


def access() -> Access:
    """Return what was decided when the board was started; under plain ``streamlit run``, decide from where it listens."""
    said = os.environ.get(ACCESS_VARIABLE)
    if said is not None:
        return access_of_text(said)
    address = st.get_option("server.address")
    if not address or not is_loopback(address):
        return UNDECIDED
    return decide_access(address, (), sign_in())


def sign_in() -> SignIn | None:
    """Return how people sign in, or None; raises UserError where it is configured by half."""
    return configured_sign_in(*read_secrets(secrets_files()))


def demand_sign_in(*, key: str) -> None:
    """Stop the page with buttons for signing in, unless the visitor has."""
    if _is_signed_in():
        return
    st.info("Sign in to go on.")
    found = sign_in()
    for provider in found.providers if found else ():
        label = "Sign in" if provider == "default" else f"Sign in with {provider}"
        if st.button(label, key=f"{key}_{provider}", type="primary"):
            st.login(None if provider == "default" else provider)
    st.stop()


def voter() -> str | None:
    """Return the id under which the visitor votes; None where they may not, or have to sign in first."""
    voting = access().voting
    if voting == "signed-in":
        if not _is_signed_in():
            return None
        return signed_in_voter(str(st.user.get("iss", "")), str(st.user["sub"]))
    if voting == "off":
        return None
    if _VOTER not in st.session_state:
        cookie = st.context.cookies.get(VOTER_COOKIE, "")
        st.session_state[_VOTER] = cookie if _is_token(cookie) else secrets.token_hex(16)
    # exports show the id, and the token is as good as a password
    return f"anonymous-{hashlib.sha256(st.session_state[_VOTER].encode()).hexdigest()[:24]}"


def _is_signed_in() -> bool:
    return bool(st.user.get("is_logged_in"))


def _is_token(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")
