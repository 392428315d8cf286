"""A text cut into regions by what stands in them: JSON, code (fenced or detected), and everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from plugins.compression.minify import valid

Content = Literal["json", "rows", "code", "text"]
"""`rows`: lines that are a JSON object each."""
MOST_TRIES = 40
"""Places of one text at which JSON is looked for."""
LEAST_JSON = 60
CODE_SHARE = 0.03
"""From this share of its lines on, a text without fences is code."""
WRAPPED = re.compile(
    r"(?P<head>(?:\[[^\n]*\]\n)?<data-(?P<mark>[0-9a-f]{10})>\n)(?P<inner>.*)(?P<tail>\n</data-(?P=mark)>)\Z", re.DOTALL
)
"""What spotlighting has put around a text."""
_FENCE = re.compile(r"^[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})", re.MULTILINE)
_OPENS = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
_DECODER = json.JSONDecoder(strict=False)
_CODE = re.compile(
    r"\s*(?:def |class |async def |import [\w.]+|from [\w.]+ import |return\b|elif |else:|try:|except\b.*:|finally:"
    r"|@\w|(?:if|for|while|with) .*:\s*$|//|/\*|\*/|#include|#define|#!/"
    r"|(?:public|private|protected|static|export|const|let|var|func|fn|function|package|use|namespace|struct|enum"
    r"|interface|impl|type|pub)\s+[\w<{(*]|(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP)\s|</?\w[^>]*>\s*$"
    r"|diff --git |@@ -|[+-]{3} [ab]/|\$ \w|[A-Z_]+=\S|[\w.\[\]]+\s*(?:=|\+=|:=)\s*\S|[\w.]+\(.*\)\s*$)"
).match
_SURELY = re.compile(
    r"\s*(?:(?:async )?def \w+\(|class \w+[(:]|import \w[\w.]*$|from [\w.]+ import \w|#include\b"
    r"|return \w+[;(.]|[\w.]+ = [\w.]+\(|(?:export |public |static )*(?:function|func|fn) \w+\("
    r"|diff --git |@@ -\d|.*(?:\"{3}|'{3}))"
).match
_ENDS = (";", "{", "}")
_NUMBERED = re.compile(r"^\s*\d+\s*[\t:|→-] ?")
"""As editors and searches show lines."""
_CONFIG_LINE = re.compile(r"^\s*(?:- )?[\w.\"'-]+\s*:(?:\s|$)|^\s*\[[\w.\"-]+\]\s*$|^\s*- \S+$")


class Region(NamedTuple):
    """A part of a text; all parts joined are the text."""

    content: Content
    text: str


def regions(text: str) -> list[Region]:
    """The parts of a text, in order."""
    bare = text.strip()
    if bare[:1] in ("{", "[") and bare[-1:] in ("}", "]") and valid(bare):
        return [Region("json", text)]
    if bare[:1] == "{" and bare[-1:] == "}" and _rows(bare):
        return [Region("rows", text)]
    found: list[Region] = []
    for region in _fenced(text):
        found.extend(_islands(region.text) if region.content == "text" else [region])
    return found


def _rows(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    return len(lines) >= 3 and all(line[0] == "{" and line.rstrip()[-1] == "}" and valid(line) for line in lines)


def _fenced(text: str) -> list[Region]:
    if "```" not in text and "~~~" not in text:
        return [Region("text", text)]
    found: list[Region] = []
    at, opened = 0, None
    for fence in _FENCE.finditer(text):
        mark = fence[1]
        if opened is None:
            found.append(Region("text", text[at : fence.start()]))
            at, opened = fence.start(), mark
        elif mark[0] == opened[0] and len(mark) >= len(opened):
            end = text.find("\n", fence.end())
            end = len(text) if end < 0 else end + 1
            if text[fence.end() : end].strip():
                continue
            found.append(Region("code", text[at:end]))
            at, opened = end, None
    found.append(Region("text" if opened is None else "code", text[at:]))
    return [region for region in found if region.text]


def _islands(text: str) -> list[Region]:
    """JSON that stands on lines of its own."""
    found: list[Region] = []
    at = tries = 0
    while tries < MOST_TRIES and (start := _OPENS.search(text, at)) is not None:
        tries += 1
        begin = start.end() - 1
        end = _end(text, begin)
        if end is None or end - begin < LEAST_JSON:
            line = text.find("\n", begin)
            if line < 0:
                break
            if end is None and tries >= 8 and not found:
                break
            found, at = _grown(found, text[at : line + 1]), line + 1
            continue
        found = _grown(found, text[at:begin])
        found.append(Region("json", text[begin:end]))
        at = end
    found = _grown(found, text[at:])
    return found if any(region.content == "json" for region in found) else [Region("text", text)]


def _grown(found: list[Region], text: str) -> list[Region]:
    if not text:
        return found
    if found and found[-1].content == "text":
        return [*found[:-1], Region("text", found[-1].text + text)]
    return [*found, Region("text", text)]


def _end(text: str, begin: int) -> int | None:
    """Where the JSON ends that begins here, if it does so at the end of a line."""
    try:
        _, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    line = text.find("\n", end)
    rest = text[end:] if line < 0 else text[end:line]
    return end if not rest.strip() and valid(text[begin:end]) else None


def is_code_line(line: str) -> bool:
    """Whether this line looks like one of a program, a patch or of markup."""
    line = line[:300]
    return line.rstrip()[-1:] in _ENDS or "=>" in line or ") {" in line or _CODE(line) is not None


def is_code(lines: Sequence[str]) -> bool:
    """Whether these lines are a program, a patch, markup or a configuration, in which every blank may matter."""
    filled = [line for line in lines[:400] if line.strip()]
    if not filled:
        return False
    if _NUMBERED.match(filled[0]) is not None and _NUMBERED.match(filled[-1]) is not None:
        filled = [_NUMBERED.sub("", line, count=1) for line in filled]
    coded = sum(map(is_code_line, filled))
    if coded >= max(2, CODE_SHARE * len(filled)) or any(map(_SURELY, filled)):
        return True
    shaped = sum([_CONFIG_LINE.match(line) is not None for line in filled])
    return shaped >= 0.5 * len(filled)
