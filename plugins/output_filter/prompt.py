"""Whether an answer tells the system prompt: runs of its words, found by a few probes and then word by word."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import re2

from proxy.exchange import Exchange

PROBE_CHARS = 24
STRIDE_CHARS = 64
PROBES = 256
"""Of a longer system prompt, so many stretches are looked for, spread over all of it."""
KEPT = 128
"""System prompts made ready."""
PLACES = 8
"""Of a word that stands in the prompt more often, the first ones count."""
TEXT_CHARS = 65_536
_WORD = re.compile(r"[^\W_]+")


class Prompt:
    """One system prompt, made ready."""

    def __init__(self, text: str) -> None:
        folded = text.lower()
        self._words = tuple(_WORD.findall(folded))
        self._places: dict[str, list[int]] = {}
        for place, word in enumerate(self._words):
            at = self._places.setdefault(word, [])
            if len(at) < PLACES:
                at.append(place)
        self._probe = _probes(folded)

    def __len__(self) -> int:
        return len(self._words)

    def touched(self, text: str) -> bool:
        """Whether a stretch of the prompt stands in the text: cheap, and true of every long run."""
        data = text.lower().encode("utf-8", "surrogatepass")
        return self._probe is not None and self._probe.search(data) is not None

    def run(self, text: str) -> int:
        """The length, in words, of the longest run of the prompt in the text."""
        longest, runs = 0, dict[int, int]()
        for found in _WORD.finditer(text.lower()):
            runs = self.step(runs, found.group())
            longest = max(longest, *runs.values()) if runs else longest
        return longest

    def step(self, runs: dict[int, int], word: str) -> dict[int, int]:
        """The runs that end with this word, by where they stand in the prompt, from those before it."""
        return {place: runs.get(place - 1, 0) + 1 for place in self._following(runs, word)}

    def _following(self, runs: dict[int, int], word: str) -> set[int]:
        words = self._words
        places = set(self._places.get(word, ()))
        places.update(place + 1 for place in runs if place + 1 < len(words) and words[place + 1] == word)
        return places


class Prompts:
    """System prompts made ready, each once; the least recently used goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Prompt] = OrderedDict()

    def of(self, exchange: Exchange) -> Prompt | None:
        """That of this call; None where there is none. Not remembered beyond the process."""
        text = "\n".join(
            segment.text for segment in exchange.request.segments if segment.role == "system" and segment.kind == "text"
        )[:TEXT_CHARS]
        if not text:
            return None
        found = self._kept.get(text)
        if found is None:
            found = self._kept[text] = Prompt(text)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(text)
        return found


class Listener:
    """Keeps what an answer says, to be asked at its end whether it told the prompt. Changes nothing."""

    __slots__ = ("_chars", "_said")

    def __init__(self) -> None:
        self._said: list[str] = []
        self._chars = 0

    def hear(self, piece: str) -> None:
        if self._chars < TEXT_CHARS:
            self._said.append(piece)
            self._chars += len(piece)

    def told(self, prompt: Prompt, words: int) -> int:
        """The length of the longest run, where it is at least `words`; else 0."""
        text = "".join(self._said)
        if len(prompt) < words or not prompt.touched(text):
            return 0
        run = prompt.run(text)
        return run if run >= words else 0


def _probes(folded: str) -> Any:
    """Stretches of the text at even distances, as one automaton."""
    step = max(STRIDE_CHARS, len(folded) // PROBES)
    stretches = []
    for start in range(0, max(1, len(folded) - PROBE_CHARS), step):
        stretch = folded[start : start + step].split("\n")
        longest = max(stretch, key=len).strip()[:PROBE_CHARS]
        if len(longest) >= PROBE_CHARS * 2 // 3:
            stretches.append(re2.escape(longest))
    if not stretches:
        return None
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return re2.compile("|".join(stretches), options=options)


class Telling:
    """Lets an answer pass word by word and stops at a run of the prompt: its words are held until it is clear that
    there are too few of them. For operators who refuse or redact."""

    def __init__(self, prompt: Prompt, words: int) -> None:
        self._prompt = prompt
        self._words = words
        self._part = ""
        self._runs: dict[int, int] = {}
        self._held: list[str] = []
        self.found = 0
        """Runs that were told."""
        self._inside = False

    def feed(self, piece: str) -> str:
        text = self._part + piece
        out: list[str] = []
        at = 0
        for found in _WORD.finditer(text):
            if found.end() == len(text):
                break
            out.append(self._word(text[at : found.end()], found.group().lower()))
            at = found.end()
        self._part = text[at:]
        if len(self._part) > TEXT_CHARS // 2:  # (no word in it is so long)
            out.append(self._word(self._part, ""))
            self._part = ""
        return "".join(out)

    def close(self) -> str:
        found = _WORD.search(self._part)
        out = self._word(self._part, found.group().lower()) if found is not None else ""
        rest = "" if found is not None else self._part
        self._part = ""
        held, self._held = "".join(self._held), []
        return out + ("" if self._inside else held) + rest

    def _word(self, raw: str, word: str) -> str:
        """What goes out now, of the word (with what stands before it) and of what is held."""
        self._runs = self._prompt.step(self._runs, word)
        longest = max(self._runs.values(), default=0)
        if longest >= self._words:
            first = not self._inside
            self.found += first
            held = self._held[: len(self._held) - self._words + 1] if first else []
            self._inside, self._held = True, []
            return "".join(held) + (" [SYSTEM_PROMPT_REDACTED]" if first else "")
        if self._inside:
            self._inside = False
        self._held.append(raw)
        keep = min(longest, self._words)
        gone, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return "".join(gone)
