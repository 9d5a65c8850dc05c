"""Texts of a corpus, streamed piece by piece, and the words in them: no file is ever wholly in memory."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import string
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from evalharness.errors import DataError, Problem, suggest

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE_CHARACTERS = 1 << 20
#: A run without a border that is longer than this is no word of any document, and is cut.
LONGEST_WORD_CHARACTERS = 10_000
#: Stands between two texts: a word that no document is said to have, so that no n-gram reaches over it.
BETWEEN_TEXTS = "\0"
SEPARATOR = f" {BETWEEN_TEXTS} "
COMPRESSIONS = (".gz", ".zst")
KINDS = (".txt", ".jsonl")

#: Scripts that put no blanks between words: each character counts as a word.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
_SPACED, _UNSPACED_KIND, _PUNCTUATION = 0, 1, 2
_DROP_ASCII = str.maketrans("", "", string.punctuation)


@cache
def _kinds() -> NDArray[np.uint8]:
    """Return what each code point is: part of a word, a word by itself, or punctuation. Shape (0x110000,)."""
    kinds = np.zeros(0x110000, np.uint8)
    for first, last in _UNSPACED:
        kinds[first : last + 1] = _UNSPACED_KIND
    for code in range(0x20000):  # there is no punctuation in the planes above
        if unicodedata.category(chr(code)).startswith("P"):
            kinds[code] = _PUNCTUATION
    kinds[[ord(character) for character in string.punctuation]] = _PUNCTUATION
    return kinds


def words_of(text: str) -> list[str]:
    """Return the words of a text: case-folded, without punctuation, and separated by white space.

    Punctuation is Unicode's category P and ASCII's, and vanishes: ``state-of-the-art`` is one word. That is the gram of
    Brown et al. 2020 (arXiv:2005.14165, appendix C: "a lowercase, whitespace delimited word with no punctuation"). In
    scripts without blanks (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) every character is a word. Each character is
    dealt with by itself, so that a text may be cut at any border between words.
    """
    text = text.casefold()
    if text.isascii():
        return text.translate(_DROP_ASCII).split()
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[codes]
    kept = kinds != _PUNCTUATION
    codes, alone = codes[kept], kinds[kept] == _UNSPACED_KIND
    if alone.any():
        ends = np.cumsum(np.where(alone, 3, 1))
        codes = np.repeat(codes, np.where(alone, 3, 1))
        codes[ends[alone] - 1] = codes[ends[alone] - 3] = ord(" ")
    return codes.tobytes().decode("utf-32-le", "surrogatepass").split()


@dataclass(slots=True)
class Corpus:
    """Text files that are read in order, each as a stream.

    paths: plain text, or JSON lines with the text in `column`; either as it is, or compressed by gzip or Zstandard. A plain
    file is one text, a JSON line is one. skipped: files of the named folders that are neither. Counted while it is read:
    n_texts, n_words, and n_replaced_characters (U+FFFD, which also stands for bytes that are no UTF-8).
    """

    paths: tuple[Path, ...]
    column: str = "text"
    skipped: tuple[Path, ...] = ()
    n_texts: int = field(default=0, init=False)
    n_words: int = field(default=0, init=False)
    n_replaced_characters: int = field(default=0, init=False)

    @property
    def n_bytes(self) -> int:
        """How many bytes the files have on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def pieces(self, path: Path) -> Iterator[tuple[str, int]]:
        """Yield one file's text in pieces cut at borders between words, each with the bytes of the file that are read so far.

        Raises DataError for a file that cannot be read, a broken line, or one without the column.
        """
        try:
            with path.open("rb") as raw, _unpacked(raw, path) as stream:
                texts = self._lines(stream, path) if _kind(path) == ".jsonl" else self._plain(stream, path)
                for piece in texts:
                    self.n_replaced_characters += piece.count("\ufffd")
                    yield piece, raw.tell()
        except (OSError, EOFError, zlib.error) as fault:
            raise DataError.at(path, f"cannot be read: {fault}", "check permissions, and whether it is whole") from None

    def _plain(self, stream: IO[bytes], path: Path) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self.n_texts += 1
        rest = ""
        while data := stream.read(PIECE_CHARACTERS):
            if b"\0" in data:
                fix = "name plain text in UTF-8, or JSON lines (.jsonl); both may be packed as .gz or .zst"
                raise DataError.at(path, "holds bytes of value 0, so it is no text", fix)
            text = rest + decoder.decode(data)
            cut = _last_border(text)
            yield text[:cut]
            rest = text[cut:]
            if len(rest) > LONGEST_WORD_CHARACTERS:
                # Punctuation is dropped first, since a long line of dashes is no word.
                rest = "".join(words_of(rest))[: LONGEST_WORD_CHARACTERS + 1]
        yield rest + decoder.decode(b"", final=True)

    def _lines(self, stream: IO[bytes], path: Path) -> Iterator[str]:
        held: list[str] = []
        n_characters = 0
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
            if not text.strip():
                continue
            held.append(self._text(text, f"{path}:{number}"))
            self.n_texts += 1
            n_characters += len(held[-1])
            if n_characters >= PIECE_CHARACTERS:
                yield SEPARATOR.join([*held, ""])
                held, n_characters = [], 0
        yield SEPARATOR.join(held)

    def _text(self, line: str, where: str) -> str:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise DataError.at(where, f"not valid JSON: {fault}", "write one JSON object a line") from None
        if not isinstance(row, dict) or self.column not in row:
            fix = suggest(self.column, row if isinstance(row, dict) else (), noun="columns") + "; name it with --column"
            raise DataError.at(where, f"has no column `{self.column}`", fix)
        text = row[self.column]
        if not isinstance(text, str):
            raise DataError.at(where, f"column `{self.column}` holds {type(text).__name__}, not text", "name another")
        return text


def find_corpus(names: Sequence[str], column: str = "text") -> Corpus:
    """Return the corpus that files and folders make up; of folders, their ``.txt`` and ``.jsonl`` files, packed or not.

    A file that is named itself is read as plain text, whatever its ending, unless that is ``.jsonl``.
    Raises DataError with all names that are not there, and for a folder that holds no such file.
    """
    paths: dict[Path, None] = {}
    skipped: list[Path] = []
    problems = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file())
            fitting = [item for item in inside if _kind(item) in KINDS]
            skipped += [item for item in inside if _kind(item) not in KINDS]
            paths.update(dict.fromkeys(fitting))
            if not fitting:
                endings = ", ".join(f"{kind}[{'|'.join(COMPRESSIONS)}]" for kind in KINDS)
                problems.append(Problem(str(path), "the folder holds no text", f"files that are read: {endings}"))
        elif path.is_file():
            paths[path] = None
        else:
            problems.append(Problem(str(path), "there is no such file or folder", "correct the path after --corpus"))
    if problems:
        raise DataError(problems)
    return Corpus(tuple(paths), column, tuple(skipped))


def _kind(path: Path) -> str:
    """Return the ending below a compression: ``.jsonl`` of ``a.jsonl.gz``."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path).suffix.lower()


def _unpacked(raw: IO[bytes], path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return io.BufferedReader(gzip.GzipFile(fileobj=raw), PIECE_CHARACTERS)
        case ".zst":
            import pyarrow as pa

            packed = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
            return io.BufferedReader(packed, PIECE_CHARACTERS)
        case _:
            return raw


def _last_border(text: str) -> int:
    """Return the last position before which no word goes on: at white space, or at a character that is a word by itself."""
    kinds = _kinds()
    for position in range(len(text) - 1, -1, -1):
        character = text[position]
        if character.isspace() or kinds[ord(character)] == _UNSPACED_KIND:
            return position
    return 0
