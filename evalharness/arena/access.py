"""Who may read the leaderboard and who may vote: decided from where it listens, before it starts.

A board that only this machine reaches is open. One that others reach needs people to sign in (OpenID Connect, by Streamlit),
or must be said to be public, and then takes no votes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from evalharness.errors import Problem, UserError

ACCESS_VARIABLE = "EVALHARNESS_ACCESS"
LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")

Reading = Literal["open", "signed-in"]
Voting = Literal["anonymous", "signed-in", "off"]

_SHARED_KEYS = ("redirect_uri", "cookie_secret")
_PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True, slots=True)
class Access:
    """What a visitor may do; `text` and `access_of_text` carry it to the pages' process."""

    reading: Reading
    voting: Voting

    @property
    def text(self) -> str:
        """The value of the environment variable EVALHARNESS_ACCESS."""
        return f"{self.reading}/{self.voting}"


#: Where nothing was decided, since the pages were not started by `evalharness board`.
UNDECIDED = Access("open", "off")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that is wholly configured: the host that people come back to, and the providers, "default" the unnamed one."""

    host: str
    providers: tuple[str, ...]


def access_of_text(text: str) -> Access:
    """Read `Access.text`; anything else is `UNDECIDED`, which lets nobody vote."""
    reading, _, voting = text.partition("/")
    if reading not in get_args(Reading) or voting not in get_args(Voting):
        return UNDECIDED
    return Access(cast("Reading", reading), cast("Voting", voting))


def decide_access(host: str, names: Iterable[str], sign_in: SignIn | None, *, public_read_only: bool = False) -> Access:
    """Decide who may read and vote on a board that listens on `host` and is reached under other `names` too.

    A name that is not of this machine alone means that others reach the board, through a proxy perhaps.
    Raises UserError where others reach it, no sign-in is configured, and it is not said to be public.
    """
    exposed = [name for name in (host, *names) if not is_loopback(name)]
    if public_read_only:
        return Access("open", "off")
    if not exposed:
        return Access("open", "signed-in" if sign_in else "anonymous")
    if sign_in is None:
        fix = (
            "let people sign in: `pip install 'evalharness[auth]'` and an [auth] table in .streamlit/secrets.toml (see "
            "docs/leaderboard.md);\n  or show it to everybody without votes: --public-read-only;\n  or listen on this machine "
            "alone: --host 127.0.0.1"
        )
        raise UserError.at(f"--host {exposed[0]}", "others would reach the board, and nobody needs to sign in", fix)
    return Access("signed-in", "signed-in")


def is_loopback(name: str) -> bool:
    """Whether a host name or address is reached from this machine alone."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, names: Iterable[str], own_names: Iterable[str]) -> list[str]:
    """Return the names under which a board answers; under any other a page of another site could reach it (DNS rebinding).

    own_names: of this machine, used where `host` stands for all its addresses.
    """
    if host in LOOPBACK_NAMES:
        bound: Collection[str] = LOOPBACK_NAMES
    elif host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        bound = (*LOOPBACK_NAMES, *own_names)
    else:
        bound = (host,)
    return sorted({*bound, *names})


def configured_sign_in(secrets: Mapping[str, Any], where: object) -> SignIn | None:
    """Read the [auth] table of Streamlit's secrets; None where there is none.

    where: named in errors. Raises UserError with everything that the table lacks, and where Authlib is not installed.
    """
    table = secrets.get("auth")
    if table is None:
        return None
    problems = [Problem(str(where), f"[auth] lacks `{key}`") for key in _SHARED_KEYS if not table.get(key)]
    named = {name: part for name, part in table.items() if isinstance(part, Mapping) and name != "client_kwargs"}
    providers = {"default": table} if not named or any(table.get(key) for key in _PROVIDER_KEYS) else {}
    providers |= named
    for name, part in providers.items():
        shown = "[auth]" if name == "default" else f"[auth.{name}]"
        problems += [Problem(str(where), f"{shown} lacks `{key}`") for key in _PROVIDER_KEYS if not part.get(key)]
    if find_spec("authlib") is None:
        problems.append(Problem("sign-in", "Authlib is not installed", "pip install 'evalharness[auth]'"))
    if problems:
        raise UserError(problems)
    return SignIn(urlsplit(str(table["redirect_uri"])).hostname or "", tuple(providers))


def read_secrets(paths: Sequence[Path]) -> tuple[Mapping[str, Any], str]:
    """Read Streamlit's secrets files, later ones before earlier ones, and return them with the files' names.

    Raises UserError when one cannot be read or is no TOML.
    """
    merged: dict[str, Any] = {}
    read = []
    for path in paths:
        try:
            merged |= tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UserError.at(path, f"the secrets cannot be read: {error}") from error
        read.append(str(path))
    return merged, ", ".join(read) or ".streamlit/secrets.toml"


def secrets_files() -> list[Path]:
    """Return where Streamlit looks for secrets: in the home folder, then in the current one."""
    return [Path.home() / ".streamlit" / "secrets.toml", Path.cwd() / ".streamlit" / "secrets.toml"]


def own_names() -> list[str]:
    """Return the names and addresses under which this machine is reached."""
    import socket

    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    addresses = [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in families
    ]
    return sorted({socket.gethostname(), socket.getfqdn(), *addresses} - {""})


def signed_in_voter(issuer: str, subject: str) -> str:
    """Return the id under which a signed-in person's votes are stored: a hash, so that exports name nobody."""
    digest = hashlib.sha256(f"{issuer}\x1f{subject}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"user-{digest[:24]}"
