"""Where runs are kept: `results/<model>/<utc>-<id8>/`, written once, read for years.

A run directory holds `plan.json` (what identifies the work), while running `journal.jsonl` and `lock`, and once complete
`samples.parquet`, `results.json` and, written last, `run.json`: the commit mark. Files are the truth; nothing is unpickled, and
no path that a file names is ever followed. Object stores have neither append nor rename, so a run bound for one is staged in a
local folder and uploaded at its commit, `run.json` last.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalharness.errors import StoreError, UserError, suggest
from evalharness.run.atomic import sync_directory, write_atomically
from evalharness.run.journal import JOURNAL_FILE, RUN_FILE, Journal
from evalharness.run.listing import FoundRun, by_path, scan
from evalharness.run.lock import is_being_written
from evalharness.run.plan import PLAN_FILE, Plan, decode_plan, encode_plan
from evalharness.run.plan import plan_fingerprint as plan_fingerprint
from evalharness.run.record import RunRecord, SampleRecord, decode_record, encode_record, encode_results
from evalharness.run.sample_search import SampleSearch
from evalharness.run.samples import SAMPLES_FILE, RowsFile, read_samples, write_samples

RESULTS_FILE = "results.json"
#: Names the committed run that began last.
LATEST = "latest"

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

State = Literal["committed", "unfinished", "corrupt"]


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of a listing.

    where: the run directory, as a path or URL. record: of a committed run. reason: why a run is unfinished or corrupt.
    """

    run_id: str
    model: str
    state: State
    where: str
    record: RunRecord | None = None
    reason: str | None = None


class RunDirectory:
    """One run's directory while it is being written; made by `ResultStore.begin` and `ResultStore.find_unfinished`.

    path: the local directory (a staging one for a remote store). where: where the run will be found once committed.
    """

    def __init__(self, path: Path, plan: Plan, remote: tuple[Any, str, str] | None = None) -> None:
        self.path = path
        self.run_id = path.name
        self.plan_fingerprint = plan.fingerprint
        self.created = plan.created
        self._remote = remote
        self._journal: Journal | None = None

    @property
    def where(self) -> str:
        """The directory to name to people: a path, or the URL of a remote store."""
        return self._remote[2] if self._remote else str(self.path)

    def journal(self) -> Journal:
        """Open the journal, which locks the directory; see `Journal.open` for the errors raised."""
        self._journal = Journal.open(self.path)
        return self._journal

    def commit(self, record: RunRecord, samples: Sequence[SampleRecord]) -> None:
        """Write samples, scores and, last, the record; then delete the journal. The directory never changes again.

        The journal may be open (it stays locked throughout) or closed.
        Raises StoreError when the run is already committed, when the record is another run's, and when the disk is full or
        the upload fails: the journal is then kept, and the same command resumes.
        """
        if (record.run_id, record.plan_fingerprint) != (self.run_id, self.plan_fingerprint):
            raise StoreError.at(self.where, f"cannot commit the record of run {record.run_id} here")
        journal = self._journal if self._journal and self._journal.is_open else self.journal()
        try:
            journal.flush()
            write_samples(self.path / SAMPLES_FILE, samples)
            write_atomically(self.path / RESULTS_FILE, encode_results(record))
            if self._remote:
                self._upload(record)
            else:
                write_atomically(self.path / RUN_FILE, encode_record(record))
                journal.discard()
        except OSError as error:
            raise StoreError.at(
                self.where,
                f"the results cannot be written: {error.strerror or error}",
                f"all responses are kept in {self.path / JOURNAL_FILE}; free some space or mend the connection, and"
                " start the same command again: it resumes without asking the model",
            ) from error
        finally:
            journal.close()

    def _upload(self, record: RunRecord) -> None:
        if self._remote is None:
            return
        file_system, target, _ = self._remote
        if file_system.exists(f"{target}/{RUN_FILE}"):
            raise StoreError.at(self.where, "this run is complete and cannot be written again", "start a new run")
        file_system.makedirs(target, exist_ok=True)
        for name in (PLAN_FILE, SAMPLES_FILE, RESULTS_FILE):
            file_system.put_file(str(self.path / name), f"{target}/{name}")
        file_system.pipe_file(f"{target}/{RUN_FILE}", encode_record(record))
        shutil.rmtree(self.path)


class ResultStore:
    """The runs under one root: a local folder, or a URL that fsspec understands, such as ``s3://bucket/results``.

    staging: where runs bound for a remote root are written until their commit; None for the user's cache folder.
    Raises StoreError when the URL's protocol is unknown or its package is missing.
    """

    def __init__(self, root: str | Path, *, staging: Path | None = None) -> None:
        import fsspec

        text = str(root)
        self._is_remote = "://" in text and not text.startswith(("file://", "local://"))
        self.root = text.rstrip("/") if self._is_remote else str(Path(text.split("://")[-1]).expanduser().absolute())
        try:
            self._files, self._base = fsspec.url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise StoreError.at(
                root, f"this results root cannot be used: {error}", "install the package that it names"
            ) from error
        self._base = self._base.rstrip("/")
        self._local = (staging or _default_staging(self.root)) if self._is_remote else Path(self.root)

    def begin(self, model_slug: str, plan: Mapping[str, Any]) -> RunDirectory:
        """Create a new run directory and write its plan: everything that identifies the work.

        Raises StoreError when the model's name cannot name a folder, or the directory cannot be created.
        """
        if not _SLUG.fullmatch(model_slug):
            raise StoreError.at(repr(model_slug), "cannot name a folder of results", "use letters, digits and . _ + -")
        created = dt.datetime.now(dt.UTC).replace(microsecond=0)
        path = self._local / model_slug / f"{created:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        try:
            path.mkdir(parents=True)
            write_atomically(path / PLAN_FILE, encode_plan(plan, created))
            sync_directory(path.parent)
        except OSError as error:
            raise StoreError.at(
                path, f"the run directory cannot be created: {error.strerror}", "choose another results folder"
            ) from error
        return self._directory(path, Plan(plan_fingerprint(plan), created))

    def find_unfinished(self, model_slug: str, plan_fingerprint: str) -> RunDirectory | None:
        """Return the newest run of exactly this work that was begun and not committed; None where there is none."""
        parent = self._local / model_slug
        if not _SLUG.fullmatch(model_slug) or not parent.is_dir():
            return None
        for path in sorted(parent.iterdir(), key=lambda each: each.name, reverse=True):
            if (path / RUN_FILE).exists():
                continue
            try:
                plan = decode_plan((path / PLAN_FILE).read_bytes(), path)
            except (OSError, UserError):
                continue  # `runs` lists it as corrupt
            if plan.fingerprint == plan_fingerprint and not self._is_uploaded(path):
                return self._directory(path, plan)
        return None

    def runs(self) -> list[RunEntry]:
        """List all runs, committed, unfinished and corrupt, newest first; one bad directory never hides the others."""
        entries = [self.entry(directory) for directory in self.directories()]
        return sorted(entries, key=lambda entry: (entry.run_id, entry.model), reverse=True)

    def load(self, run: str | Path) -> RunRecord:
        """Read the record of a committed run.

        run: its id, the beginning of its id or of the id's last part, a path or URL, ``latest``, or a model's name for its
        newest run.
        Raises StoreError when there is none, when several fit (listing them), and when the record cannot be read.
        """
        directory = self._resolve(str(run))
        return decode_record(directory.read(RUN_FILE), directory.shown(RUN_FILE))

    def samples(
        self, run: str | Path, task: str | None = None, columns: Collection[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the samples of a run, or of one of its tasks, as `read_samples` describes them."""
        directory = self._resolve(str(run))
        with _open_samples(directory) as file:
            yield from read_samples(file, directory.shown(SAMPLES_FILE), task, columns)

    @contextmanager
    def rows(self, run: str | Path) -> Iterator[RowsFile]:
        """Open the scores of a run, to read them as arrays a task at a time; raises what `load` and `RowsFile` do."""
        directory = self._resolve(str(run))
        with _open_samples(directory) as file:
            yield RowsFile(file, directory.shown(SAMPLES_FILE))

    @contextmanager
    def search(self, run: str | Path) -> Iterator[SampleSearch]:
        """Open the samples of a run, to search them a task at a time; raises what `load` and `SampleSearch` do."""
        directory = self._resolve(str(run))
        with _open_samples(directory) as file:
            yield SampleSearch(file, directory.shown(SAMPLES_FILE))

    def locate(self, run: str | Path) -> str:
        """Return the directory of a committed run, as a path or URL; takes and raises what `load` does."""
        return self._resolve(str(run)).shown()

    def _directory(self, path: Path, plan: Plan) -> RunDirectory:
        if not self._is_remote:
            return RunDirectory(path, plan)
        inner = f"{path.parent.name}/{path.name}"
        return RunDirectory(path, plan, (self._files, f"{self._base}/{inner}", f"{self.root}/{inner}"))

    def _is_uploaded(self, path: Path) -> bool:
        """Whether a staged run was committed by a process that then died before it removed the staging directory."""
        return self._is_remote and bool(self._files.exists(f"{self._base}/{path.parent.name}/{path.name}/{RUN_FILE}"))

    def directories(self) -> list[FoundRun]:
        """Find all run directories without reading their files; raises StoreError when the store cannot be listed."""
        found = scan(self._files, self._base, self.root)
        if self._is_remote:
            import fsspec

            uploaded = {each.run_id for each in found}
            staged = scan(fsspec.filesystem("file"), str(self._local), str(self._local))
            found += [each for each in staged if each.run_id not in uploaded]
        return found

    def entry(self, directory: FoundRun) -> RunEntry:
        """Read what one directory holds; a damaged one is an entry with the reason."""

        def entry(state: State, reason: str | None = None, record: RunRecord | None = None) -> RunEntry:
            return RunEntry(directory.run_id, directory.model, state, directory.shown(), record, reason)

        try:
            if RUN_FILE in directory.names:
                record = decode_record(directory.read(RUN_FILE), RUN_FILE)
                missing = [name for name in (SAMPLES_FILE, RESULTS_FILE) if name not in directory.names]
                return entry("corrupt", f"{missing[0]} is missing") if missing else entry("committed", record=record)
            decode_plan(directory.read(PLAN_FILE), PLAN_FILE)
        except UserError as error:
            return entry("corrupt", str(error.problems[0]).replace("\n", " "))
        n_responses = directory.count_responses()
        kept = "1 response kept" if n_responses == 1 else f"{n_responses} responses kept"
        if is_being_written(Path(directory.path)):
            return entry("unfinished", f"being written now; {kept}")
        return entry("unfinished", f"{kept}; the same command resumes it")

    def _resolve(self, run: str) -> FoundRun:
        named = by_path(run)
        if named is not None:
            return named
        directories = self.directories()
        candidates = [each for each in directories if RUN_FILE in each.names and run in (LATEST, each.model)]
        if candidates:
            return max(candidates, key=lambda each: each.run_id)
        matching = [each for each in directories if each.answers_to(run)]
        committed = [each for each in matching if RUN_FILE in each.names]
        if len(committed) == 1:
            return committed[0]
        if len(committed) > 1:
            names = "\n  ".join(sorted(each.shown() for each in committed))
            raise StoreError.at(run, f"{len(committed)} runs fit this name", f"give more of it:\n  {names}")
        if matching:
            raise StoreError.at(
                matching[0].shown(), "this run is unfinished", "start the command that began it again to resume it"
            )
        known = [each.run_id for each in directories if RUN_FILE in each.names]
        raise StoreError.at(self.root, f"there is no run `{run}`", suggest(run, known, noun="runs", limit=10))


def _open_samples(directory: FoundRun) -> Any:
    try:
        return directory.files.open(f"{directory.path}/{SAMPLES_FILE}", "rb")
    except OSError as error:
        raise StoreError.at(directory.shown(SAMPLES_FILE), f"cannot be read: {error.strerror or error}") from error


def _default_staging(root: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "evalharness" / "staging" / hashlib.sha256(root.encode()).hexdigest()[:16]
