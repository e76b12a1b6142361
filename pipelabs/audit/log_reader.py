"""Read which lines the audit file has, from where the last look at it ended."""

import gzip
import hashlib
import os
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import IO, NamedTuple, cast

ID = re.compile(rb" \| event=\S+ http=\S+ ip=\S+ ms=\S+ id=([0-9]+)")
TAIL_BYTES = 1_024


class Position(NamedTuple):
    """A place in a file. The file is known by its inode, and by a hash of what is before it."""

    inode: int
    offset: int
    tail: bytes


@dataclass
class Segment:
    """A file from `start` to the end of its last whole line, where `end` is after it was read."""

    path: Path
    inode: int
    is_gzipped: bool
    start: int = 0
    end: int = 0

    def ids(self) -> Iterator[tuple[int, int]]:
        """Yield the ids of the lines and where these begin. Lines of something else have no id."""
        self.end = self.start
        with open_file(self.path) as file, _unpacked(file, self) as lines:
            lines.seek(self.start)
            try:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    if match := ID.search(line):
                        yield int(match[1]), self.end
                    self.end += len(line)
            except EOFError:
                return  # It is being compressed now.

    def first(self, ids: Set[int]) -> int | None:
        """Return where the first line begins that has one of the ids."""
        end = self.end
        place = next((place for row_id, place in self.ids() if row_id in ids), None)
        self.end = end
        return place


@dataclass
class Look:
    """What was read: the ids, from which files, and whether the last look's place was lost.

    `ids` is None if there is no file at all.
    """

    ids: set[int] | None
    current: Path
    marked: Segment | None = None
    is_lost: bool = False
    segments: list[Segment] = field(default_factory=list)

    def next_position(self, waiting: Set[int]) -> Position | None:
        """Return where the next look has to begin so that it sees every line of `waiting`.

        None is the beginning of every file.
        """
        first = {
            segment.path: place
            for segment in (self.segments if waiting else [])
            if (place := segment.first(waiting)) is not None
        }
        current = next((seen for seen in self.segments if seen.path == self.current), None)
        best = current if not first.keys() - {self.current} else self.marked
        return _position(best, first.get(best.path, best.end)) if best else None


def look(path: str, position: Position | None) -> Look:
    """Read the lines after the position, and newer files. Without one, read all files.

    If the file was moved away, emptied, truncated or rewritten, the position is lost, and all files
    are read. `NAME*` are its rotated files.
    """
    current = Path(path)
    files = sorted(_regular_files(current), key=lambda file: file[1].st_mtime_ns)
    if not files:
        return Look(None, current, is_lost=position is not None)
    seen = Look(set(), current)
    for file, stat in files:
        # The file itself may have any name.
        segment = Segment(file, _inode(stat), file != current and file.suffix == ".gz")
        if position and _is_at(segment, stat, position):
            # Files that were closed before this one was are complete.
            segment.start, seen.marked, seen.segments = position.offset, segment, []
        seen.segments.append(segment)
    seen.is_lost = position is not None and seen.marked is None
    seen.ids = {row_id for segment in seen.segments for row_id, _ in segment.ids()}
    return seen


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading. Never wait: a FIFO may have no writer."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def _unpacked(file: IO[bytes], segment: Segment) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if segment.is_gzipped else file


def _regular_files(current: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for file in current.parent.glob(f"{current.name}*"):
        stat = file.stat()
        if S_ISREG(stat.st_mode) and not file.name.endswith(".new"):
            yield file, stat


def _inode(stat: os.stat_result) -> int:
    """Return the number of the file, cut to what a column of PostgreSQL stores."""
    return stat.st_ino & 2**63 - 1


def _is_at(segment: Segment, stat: os.stat_result, position: Position) -> bool:
    is_same = segment.inode == position.inode and stat.st_size >= position.offset
    return is_same and _position(segment, position.offset) == position


def _position(segment: Segment, offset: int) -> Position:
    start = max(0, offset - TAIL_BYTES)
    with open_file(segment.path) as file:
        file.seek(start)
        tail = hashlib.sha256(file.read(offset - start)).digest()
    return Position(segment.inode, offset, tail)
