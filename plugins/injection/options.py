"""What an operator may say of the guard: InjectionOptions, and Place for each position of a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from plugins.injection.position import Position

Action = Literal["refuse", "replace", "sanitise", "tag", "off"]
USUAL: MappingProxyType[Position, Action] = MappingProxyType(
    {
        "user": "refuse",
        "tool": "replace",
        "document": "replace",
        "description": "replace",
        "arguments": "tag",
        "assistant": "tag",
        "system": "tag",
    }
)
"""What is done where nothing else is said."""
UNTRUSTED: frozenset[Position] = frozenset({"tool", "document"})
"""What others have written: marked as data where spotlighting is on."""
MODEL_FILES = ("model.onnx", "tokenizer.json")
MODEL_PACKAGES = ("onnxruntime", "tokenizers", "numpy")
TEMPLATED: frozenset[Position] = frozenset({"user", "tool", "document", "description"})
"""Where nobody but an attacker needs the control tokens of a chat template."""


@dataclass(frozen=True, slots=True)
class Place:
    """How texts at one position are judged."""

    action: Action | None = None
    """What a suspicious text meets: `refuse` (the call, where the text is new; older ones are replaced), `replace` (by
    a fixed sentence), `sanitise` (control tokens broken, marked as data), `tag` (event and header only), `off` (not
    judged). Empty: `refuse` for the user's, `replace` for tool results, documents and tool descriptions, else `tag`."""
    threshold: float | None = None
    """The score, 0 to 1, from which on a text is suspicious. Empty: the one that comes with the model."""
    false_positives: float | None = None
    """The share of harmless texts that may be taken for attacks, such as 0.005; instead of a threshold."""

    def __post_init__(self) -> None:
        for name in ("threshold", "false_positives"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {value:g}")
        if self.threshold is not None and self.false_positives is not None:
            raise ValueError("has a threshold and a share of false_positives: give one of the two")


@dataclass(frozen=True, slots=True)
class InjectionOptions:
    """How prompt injection is looked for, and what follows."""

    user: Place = field(default_factory=Place)
    """What the user says, and the input of completions and embeddings."""
    tool: Place = field(default_factory=Place)
    """What a tool gave back: judged more strictly than what the user says."""
    document: Place = field(default_factory=Place)
    """What was retrieved: judged more strictly than what the user says."""
    description: Place = field(default_factory=Place)
    """What a tool says of itself."""
    arguments: Place = field(default_factory=Place)
    """Arguments of calls of tools in the conversation."""
    assistant: Place = field(default_factory=Place)
    """What the model said before, as the caller sends it again."""
    system: Place = field(default_factory=Place)
    """The system prompt: the operator's own words, judged hardly at all."""
    classic: Literal["record", "refuse"] = "record"
    """The six classic patterns ("ignore previous instructions" and the like) always make an event of high severity;
    `refuse`: they alone are enough to act."""
    refuse_as: Literal["error", "answer"] = "error"
    """A refusal is an error (400), or a normal completion that ends with `content_filter`."""
    templates: Literal["neutralise", "refuse", "off"] = "neutralise"
    """Control tokens of chat templates (<|im_start|>, [INST], <<SYS>>, ...) in what users, tools and documents say:
    broken apart so that no server takes them for its own, refused (in tools and documents: replaced), or left."""
    spotlight: bool = False
    """Put marks that only Weir knows around every tool result and document, suspicious or not, and say that between
    them stands data, no instructions."""
    header: bool = True
    """Say in the answer's header `x-weir-injection` that something was tagged, sanitised or replaced."""
    rules: tuple[str, ...] = ()
    """Files with rules of your own, in the form of `config/injection.toml`; a family of a name that is there already
    takes its place."""
    model: str = ""
    """Folder with a text classifier of your own in ONNX (model.onnx, tokenizer.json), asked in a thread about what the
    built-in judge lets pass; needs the extra `onnx`."""

    def __post_init__(self) -> None:
        if self.rules:
            from plugins.injection.rules import checked  # noqa: PLC0415  (the rules' engine, for those who have rules)

            checked(self.rules)
        if self.model and not all((Path(self.model) / name).is_file() for name in MODEL_FILES):
            raise ValueError(f"model is a folder with {' and '.join(MODEL_FILES)}; {self.model} is none")
        if self.model and (missing := [name for name in MODEL_PACKAGES if find_spec(name) is None]):
            raise ValueError(
                f"a model in ONNX needs a package that is not installed ({missing[0]}): install weir-proxy[onnx], or "
                "leave `model` out"
            )


def action(place: Place, position: Position) -> Action:
    """What a suspicious text at this position meets."""
    return place.action or USUAL[position]
