"""The atom loop of an mmCIF text, cut out and split in one go.

biotite's CIF parser looks at every line and every word in Python, which for the loop with the atoms
is nine tenths of the time. That loop is nearly always plain: words between blanks, no text blocks,
no comments, at most a quoted word such as ``"O5'"``. Exactly then it is split here; anything else
is left to biotite (and the tests compare the two).
"""

import re
from dataclasses import dataclass

# What may follow the last row; all of it begins a line.
_ENDINGS = (b"\n#", b"\n_", b"\nloop_", b"\ndata_", b"\nsave_", b"\nstop_", b"\nglobal_")
_OPENING_QUOTE = re.compile(r"(?<!\S)['\"]")
_QUOTED_WORD = re.compile(r"(?<!\S)(?:'[^'\s]+'|\"[^\"\s]+\")(?!\S)")


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop whose values are words.

    Attributes:
        category: Name of the category.
        names: Names of its columns.
        words: The values, row by row.
    """

    category: str
    names: tuple[str, ...]
    words: list[str]

    def column(self, name: str) -> list[str]:
        """Values of one column."""
        return self.words[self.names.index(name) :: len(self.names)]


def cut_loop(content: bytes, category: str) -> tuple[bytes, Loop] | None:
    """Cut a loop out of an mmCIF file with one data block.

    Args:
        content: The file, lines ending with a line feed.
        category: Name of the category without leading underscore.

    Returns:
        The file without the loop, and the loop; None where the loop is absent or not plain.

    Raises:
        ValueError: If the loop ends in the middle of a row.
    """
    folded = (b"\n" + content).lower()  # in ASCII, lengths stay; keywords may be in any case
    prefix = f"\n_{category}.".encode()
    first = folded.find(prefix)
    if first < 0 or folded.count(b"\ndata_") != 1:
        return None
    start = folded.rfind(b"\n", 0, first)
    if folded[start:first].strip() != b"loop_":
        return None
    body = first
    while folded.startswith(prefix, body):
        body = folded.find(b"\n", body + 1)
        if body < 0:
            return None
    if folded.find(prefix, body) >= 0:
        return None
    stop = len(folded)
    for ending in _ENDINGS:
        at = folded.find(ending, body, stop)
        stop = at if at >= 0 else stop
    names = tuple(line.split(".", 1)[1].strip() for line in _lines(content, first, body))
    words = _plain_words(content[body:stop].decode("utf-8", errors="replace"))
    if words is None or any(len(name.split()) != 1 for name in names):
        return None
    if len(words) % len(names):
        raise ValueError(f"its {category} loop ends in the middle of a row")
    return content[:start] + content[stop - 1 :], Loop(category, names, words)


def _lines(content: bytes, start: int, stop: int) -> list[str]:
    return content[start : stop - 1].decode("utf-8", errors="replace").split("\n")


def _plain_words(body: str) -> list[str] | None:
    """Words of the rows; None if there are text blocks, comments or quoted blanks."""
    if "\n;" in body or "#" in body:
        return None
    if "'" in body or '"' in body:
        if len(_OPENING_QUOTE.findall(body)) != len(_QUOTED_WORD.findall(body)):
            return None
        body = _QUOTED_WORD.sub(lambda word: word[0][1:-1], body)
    return body.split()
