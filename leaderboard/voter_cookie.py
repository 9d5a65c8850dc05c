"""A random token in the browser of whoever may vote without signing in: reloading the page makes nobody a new voter."""

from __future__ import annotations

import os
import secrets
from http.cookies import SimpleCookie

from starlette.datastructures import MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalharness.arena.access import ACCESS_VARIABLE, access_of_text
from leaderboard.access import VOTER_COOKIE

_YEAR_SECONDS = 365 * 24 * 3600


class VoterCookie:
    """Middleware that gives the token with a page, where there is none and anonymous votes are taken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and set the cookie in its answer if that is a page."""
        headers = dict(scope.get("headers", ()))
        known = VOTER_COOKIE in cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        if scope["type"] != "http" or known or not _is_wanted():
            await self._app(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                if answered.get("content-type", "").startswith("text/html"):
                    answered.append("set-cookie", _cookie())
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _is_wanted() -> bool:
    return access_of_text(os.environ.get(ACCESS_VARIABLE, "")).voting == "anonymous"


def _cookie() -> str:
    jar: SimpleCookie = SimpleCookie()
    jar[VOTER_COOKIE] = secrets.token_hex(16)
    morsel = jar[VOTER_COOKIE]
    morsel["path"], morsel["samesite"] = "/", "Lax"
    morsel["httponly"], morsel["max-age"] = True, _YEAR_SECONDS
    return morsel.OutputString()
