"""What is asked of a text: the user's words in its turn, the same in every later turn."""

from __future__ import annotations

from proxy.exchange import Request, Segment

QUESTION_CHARS = 2000


def question_of(request: Request, segment: Segment) -> str:
    """The user's last words before the model speaks again after this text, else the last before it."""
    found = ""
    for one in request.segments:
        if one.index > segment.index and one.role == "assistant":
            break
        if one.role == "user" and one.kind == "text" and one.index >= 0:
            found = one.text
    return found[-QUESTION_CHARS:]
