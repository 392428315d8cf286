"""One text of a call or an answer, with its place; and a text that a plugin adds."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["text", "tool_result", "tool_arguments", "tool_description", "document", "refusal", "reasoning"]


class Segment:
    """One text of a call or an answer, with its place. Assigning `text` marks it changed; sealed ones refuse that."""

    __slots__ = ("_text", "fresh", "index", "kind", "mark", "original", "part", "role", "sealed", "slot", "source")

    def __init__(
        self,
        role: Role,
        kind: Kind,
        original: str,
        slot: Any = None,
        *,
        index: int = 0,
        part: int = 0,
        fresh: bool = False,
        sealed: bool = False,
        source: str = "caller",
    ) -> None:
        self.role = role
        self.kind = kind
        self.original = original
        self.slot = slot
        """The codec's own pointer to where the text stands; plugins leave it alone."""
        self.index = index
        """Of the message or item (requests), of the choice or item (answers)."""
        self.part = part
        """Of the text inside its message."""
        self.fresh = fresh
        """New in this call: no assistant turn stands after it."""
        self.sealed = sealed
        """Covered by a signature or cipher of the provider: read or refuse, never change."""
        self.source = source
        self.mark = 0
        """Under which memories of this text are kept: made and read by `proxy.memory`."""
        self._text = original

    def _set(self, value: str) -> None:
        if self.sealed:
            raise ValueError("a sealed segment cannot be changed")
        self._text = value

    if TYPE_CHECKING:

        @property
        def text(self) -> str: ...

        @text.setter
        def text(self, value: str) -> None: ...
    else:  # read by C alone: every guard reads every text
        text = property(attrgetter("_text"), _set)

    @property
    def changed(self) -> bool:
        return self._text is not self.original and self._text != self.original

    def begin(self, text: str = "") -> None:
        """The text as it came is this: for whoever collects one that comes in pieces."""
        self.original = self._text = text
        self.mark = 0

    def grow(self, piece: str) -> None:
        """More of it has come."""
        self.original += piece
        self._text = self.original
        self.mark = 0

    def copy(self) -> Segment:
        """A twin for a shadow view: edits of the twin do not reach the call."""
        twin = Segment(
            self.role, self.kind, self.original, self.slot,
            index=self.index, part=self.part, fresh=self.fresh, sealed=self.sealed, source=self.source,
        )  # fmt: skip
        twin._text = self._text
        return twin

    def __repr__(self) -> str:
        return f"Segment({self.role}/{self.kind} {self.index}.{self.part}, {len(self.original)} chars)"


@dataclass(frozen=True, slots=True)
class Insert:
    """A text that a plugin adds to the call: a message of `role` before position `index` of the messages
    (0: right after the system prompt), or an addition to the system prompt (`role="system"`)."""

    role: Role
    text: str
    source: str
    index: int = 0
