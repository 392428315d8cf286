"""Control tokens of chat templates in texts that have no business with them: found, and broken apart."""

from __future__ import annotations

import re

TOKENS = re.compile(
    r"<\|[A-Za-z][A-Za-z0-9_ ]{0,39}\|>"
    r"|<\uff5c[^<>\n]{1,40}\uff5c>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\]"
    r"|<</?SYS>>"
    r"|</?(?:start_of_turn|end_of_turn|start_of_image)>"
    r"|<(?:start|end)_of_turn>"
)
"""ChatML, Llama 2 and 3, Mistral, Gemma, DeepSeek, Phi and those who speak like them."""


def found(text: str) -> bool:
    """Whether there is one."""
    return ("<" in text or "[" in text) and TOKENS.search(text) is not None


def broken(text: str) -> str:
    """The text with each token taken apart by spaces: legible, and no token any more. Twice is as once."""
    return TOKENS.sub(_apart, text) if found(text) else text


def _apart(match: re.Match[str]) -> str:
    token = match.group()
    return f"{token[0]} {token[1:-1]} {token[-1]}"
