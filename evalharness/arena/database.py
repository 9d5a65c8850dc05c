"""Where judgements lie: a SQLite file, or PostgreSQL behind a URL, asked in the same SQL.

SQLite keeps its rollback journal, since the other kind needs memory shared by all processes, which network file systems do
not give; votes are rare enough for it. Every call opens its own connection, so threads and processes may share a database.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evalharness.arena.votes import SCHEMA_VERSION
from evalharness.errors import StoreError
from evalharness.run.masking import mask_text

POSTGRES_PREFIXES = ("postgresql://", "postgres://")
_BUSY_SECONDS = 20.0
_TABLES = ("arena_vote", "arena_rating")

_STATEMENTS = (
    "CREATE TABLE arena_schema (version INTEGER NOT NULL)",
    f"INSERT INTO arena_schema VALUES ({SCHEMA_VERSION})",  # noqa: S608  # a number
    """
    CREATE TABLE arena_vote (
        voter TEXT NOT NULL, task TEXT NOT NULL, input_hash TEXT NOT NULL, document_id TEXT NOT NULL,
        first_model TEXT NOT NULL, second_model TEXT NOT NULL, first_run TEXT NOT NULL, second_run TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('first', 'second', 'tie', 'both_bad', 'skipped')),
        voted TEXT NOT NULL, reason TEXT,
        one_model TEXT NOT NULL, other_model TEXT NOT NULL,
        CHECK (one_model <> other_model),
        PRIMARY KEY (voter, task, input_hash, one_model, other_model)
    )
    """,
    """
    CREATE TABLE arena_rating (
        voter TEXT NOT NULL, task TEXT NOT NULL, input_hash TEXT NOT NULL, document_id TEXT NOT NULL,
        model TEXT NOT NULL, run_id TEXT NOT NULL, criterion TEXT NOT NULL,
        value INTEGER NOT NULL CHECK (value BETWEEN 1 AND 5), rated TEXT NOT NULL,
        PRIMARY KEY (voter, task, input_hash, model, criterion)
    )
    """,
)
_SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER {table}_{action} BEFORE {action} ON {table} BEGIN SELECT RAISE(ABORT, 'judgements never change'); END"
    for table in _TABLES
    for action in ("UPDATE", "DELETE")
)
_POSTGRES_GUARDS = (
    "CREATE FUNCTION arena_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'judgements never change'; END $$",
    *(
        f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION arena_refuse()"
        for table in _TABLES
    ),
)
_HAS_TABLES = {
    False: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'arena_schema'",
    True: "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'arena_schema'",
}
#: Names the lock under which one process makes the tables, while others wait.
_POSTGRES_LOCK = 0x6172656E61


class Connection:
    """An open transaction: statements with ``?`` for parameters, whatever the database."""

    def __init__(self, raw: Any, *, is_postgres: bool) -> None:
        self._raw = raw
        self._is_postgres = is_postgres

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        found: list[tuple[Any, ...]] = self._execute(sql, parameters).fetchall()
        return found

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it touched."""
        return int(self._execute(sql, parameters).rowcount)

    def has_tables(self) -> bool:
        """Whether this database was ever written to; raises StoreError for tables of another schema version."""
        if not self.rows(_HAS_TABLES[self._is_postgres]):
            return False
        versions = self.rows("SELECT version FROM arena_schema")
        if versions != [(SCHEMA_VERSION,)]:
            what = f"the votes have schema version {versions}; this evalharness knows {SCHEMA_VERSION}"
            raise StoreError.at("votes", what, "use the version of evalharness that wrote them, or a later one")
        return True

    def ensure_tables(self) -> None:
        """Make the tables where there are none."""
        if self._is_postgres:
            self._execute("SELECT pg_advisory_xact_lock(?)", (_POSTGRES_LOCK,))
        if not self.has_tables():
            for statement in (*_STATEMENTS, *(_POSTGRES_GUARDS if self._is_postgres else _SQLITE_GUARDS)):
                self._execute(statement, ())

    def _execute(self, sql: str, parameters: Sequence[Any]) -> Any:
        # without parameters psycopg sends several statements and `%` as they are
        return self._raw.execute(sql.replace("?", "%s") if self._is_postgres else sql, tuple(parameters) or ())


class Database:
    """One database, named by a path or a ``postgresql://`` URL; nothing is opened or made before it is used."""

    def __init__(self, where: str | Path) -> None:
        text = str(where)
        self.is_postgres = text.startswith(POSTGRES_PREFIXES)
        if not self.is_postgres and "://" in text:
            fix = "name a file, or a database as postgresql://USER@HOST/DATABASE"
            raise StoreError.at(mask_text(text), "votes are kept in a SQLite file or in PostgreSQL", fix)
        self._url = text
        self.path = None if self.is_postgres else Path(text).expanduser().absolute()

    @property
    def shown(self) -> str:
        """The database as people may see it: without password."""
        return mask_text(self._url) if self.path is None else str(self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Give a connection that reads, or None where nothing was ever written; raises StoreError if it cannot be read."""
        if self.path is not None and not self.path.exists():
            yield None
            return
        with self._connected("read") as connection:
            yield connection if connection.has_tables() else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that holds all or nothing of what is written; raises StoreError if it cannot be written."""
        with self._connected("written") as connection:
            connection.ensure_tables()
            yield connection

    @contextlib.contextmanager
    def _connected(self, deed: str) -> Iterator[Connection]:
        opened = self._postgres() if self.is_postgres else self._sqlite(read_only=deed == "read")
        faults = _postgres_faults() if self.is_postgres else (sqlite3.Error, OSError)
        try:
            with opened as raw:
                yield Connection(raw, is_postgres=self.is_postgres)
        except faults as error:
            reason = mask_text(str(error)).strip().replace("\n", " ")
            raise StoreError.at(self.shown, f"the votes cannot be {deed}: {reason}", _cure(error)) from error

    @contextlib.contextmanager
    def _sqlite(self, *, read_only: bool) -> Iterator[sqlite3.Connection]:
        if self.path is None:
            return
        if not read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{self.path.as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _postgres(self) -> Iterator[Any]:
        with _psycopg().connect(self._url, connect_timeout=10) as connection:  # commits, or rolls back on an error
            yield connection


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        fix = "pip install 'evalharness[postgres]'"
        raise StoreError.at("votes", f"votes in PostgreSQL need psycopg: {error}", fix) from error
    return psycopg


def _postgres_faults() -> tuple[type[Exception], ...]:
    return (_psycopg().Error,)


def _cure(error: Exception) -> str:
    if "not a database" in str(error) or "malformed" in str(error):
        return (
            "the file is damaged and is left as it is; move it away and read the last export with "
            "`evalharness arena import`, or put a backup in its place"
        )
    return ""
