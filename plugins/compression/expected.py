"""What an answer is likely to have in it, by how a question asks: figures, moments, names, places, reasons, ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Search = Callable[[str], re.Match[str] | None]
_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|half|twice"
    r"|once|third|quarter)\b"
)
_MOMENT = (
    r"\b(?:1\d|20)\d\d\b|\b\d{1,2}[:.]\d\d\b|\b\d{4}-\d\d|\b(?:January|February|March|April|May|June|July|August"
    r"|September|October|November|December|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|today|tomorrow|yesterday|noon"
    r"|midnight|morning|evening|week|month|year|day|hour|minute|until|since|before|after|during|century)s?\b"
)
_NAME = r"(?<=[^.!?:\s])\s+[\"“'(]?[A-Z][\w.-]+"
_PLACE = r"\b(?:in|at|on|under|near|behind|above|below|to|from|between|beside)\b|/|://"
_REASON = (
    r"\b(?:because|since|due|reason|so that|therefore|thus|as|cause[sd]?|led|owing|in order|why|prevent\w*|error"
    r"|fail\w*|fatal|refused|denied|rejected|cannot|could not|unable|invalid|expired|exceeded|exhausted|missing"
    r"|broken)\b"
)
_WAY = (
    r"\b(?:by|via|use[sd]?|using|run|set|click|choose|press|open|hold|push|type|select|enter|call|with|through|must"
    r"|should|can)\b|`"
)
_ASKS = tuple(
    (re.compile(asks, re.IGNORECASE).search, re.compile(wanted, 0 if wanted is _NAME else re.IGNORECASE).search)
    for asks, wanted in (
        (
            r"\bhow (?:many|much|long|often|far|high|large|big|old|fast|quickly|tall|wide|deep|soon)\b|\b(?:amount"
            r"|number|percentage|percent|price|cost|fee|size|limit|maximum|minimum|rate|total|version|port)\b",
            _NUMBER,
        ),
        (r"\bwhen\b|\b(?:date|year|time|day|month|how long|how soon|deadline)\b", _MOMENT),
        (r"\bwho(?:m|se)?\b|\b(?:person|name|author|company)\b", _NAME),
        (r"\bwhere\b|\b(?:location|place|folder|file|path|city|country|url)\b", _PLACE),
        (r"\bwhy\b|\b(?:reason|cause)", _REASON),
        (r"\bhow (?:do|can|should|to|does|did|is|was|are)\b", _WAY),
    )
)


def expected(question: str) -> Sequence[Search]:
    """What finds it in a text, for each way in which the question asks."""
    return [wanted for asks, wanted in _ASKS if asks(question) is not None]
