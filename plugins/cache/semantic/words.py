"""Small words of English: contractions, what opens and closes a question, words left out, what belongs to what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType


def listed(words: str) -> frozenset[str]:
    """The words of a line."""
    return frozenset(words.split())


TYPOS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"\b(?:teh|hte)\b", "the"),
        (r"\b(?:waht|wat|wht|whta)\b", "what"),
        (r"\b(?:hwo|hw)\b", "how"),
        (r"\b(?:adn|nad)\b", "and"),
        (r"\b(?:taht|tht)\b", "that"),
        (r"\b(?:wich|whcih|wihch)\b", "which"),
        (r"\bthier\b", "their"),
        (r"\b(?:becuase|cuz|coz|bc)\b", "because"),
    )
)
"""Small words as fingers write them."""
CONTRACTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"\b(?:um+|uh+|er|erm|ehm)\b[ ,.]*", ""),
        (r"\b(?:won't|wont)\b", "will not"),
        (r"\b(?:can't|cant|cannot)\b", "can not"),
        (r"\b(?:shan't)\b", "shall not"),
        (r"\bain't\b", "is not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|could|would|should|must|need|might)n't\b", r"\1 not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|could|would|should)nt\b", r"\1 not"),
        (r"\bi'?m\b", "i am"),
        (r"\b(i|you|we|they)'?ve\b", r"\1 have"),
        (r"\b(you|we|they)'re\b", r"\1 are"),
        (r"\b(?:youre|theyre)\b", "you are"),
        (r"\b(i|you|he|she|it|we|they|what|that|there)'ll\b", r"\1 will"),
        (r"\b(i|you|he|she|we|they)'d\b", r"\1 would"),
        (r"\blet's\b", "let us"),
        (r"\b(what|where|when|who|how|why|that|there|it|he|she|here)(?:'s)\b", r"\1 is"),
        (r"\b(what|where|who|how|that|here)s\b", r"\1 is"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\bgotta\b", "have to"),
        (r"\b(?:pls|plz)\b", "please"),
        (
            r"\b(?:2fa|(?:2|two)[ -]factor auth(?:entication)?|(?:2|two)[ -]step (?:verification|authentication))\b",
            "twofactor",
        ),
        (r"\bu\b", "you"),
        (r"\bur\b", "your"),
        (r"\bw/o(?!\w)", "without"),
        (r"\babt\b", "about"),
        (r"\bb4\b", "before"),
        (r"\bppl\b", "people"),
        (r"\b(?:tmrw|tmr|tomorow|tommorow|tommorrow|2moro)\b", "tomorrow"),
        (r"\b(?:2day)\b", "today"),
        (r"\br u\b", "are you"),
        (r"\balot\b", "a lot"),
    )
)
"""Of a text in lower case with straight apostrophes."""

ASKS = r"(?=(?:how|what|when|where|why|who|which|whose|is|are|was|were|do|does|did|can|could|should|will|am)\b)"
OPENINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (
            r"^(?:hi|hello|hey|hiya|greetings|good (?:morning|afternoon|evening|day)"
            r"|(?:morning|afternoon|evening)(?=[!,.]))"
            r"(?: there| all| team| everyone| folks)?\b[ ,:]*",
            "",
        ),
        (r"^(?:ok|okay|so|well|yeah|yes|hmm|right then|anyway|also)[ ,!]+", ""),
        (r"^(?:just )?(?:a )?quick (?:one|question|query)\b[ ,:]*", ""),
        (r"^(?:i (?:have|had|got) )?(?:just )?a (?:quick )?question\b[ ,:]*", ""),
        (r"^(?:i (?:am|was) )?(?:just )?(?:wondering|curious)(?: (?:if|whether))?\b[ ,:]*", ""),
        (r"^(?:please|kindly|sorry|excuse me|by the way|btw|just)\b[ ,:]*", ""),
        (
            r"^(?:can|could|would|will) (?:you|someone|anyone|somebody|anybody) (?:please |kindly |possibly |just )?"
            r"(?:tell me|explain to me|explain|show me|help me understand|let me know|remind me|advise me|advise)"
            r"(?: about| on)?(?: if| whether)?[ ,:]+" + ASKS,
            "",
        ),
        (r"^(?:can|could|would|will) you (?:please |kindly |just )?(?:tell me|let me know) (?:if|whether) ", ""),
        (
            r"^(?:please |kindly )?(?:tell me|show me|explain to me|explain|let me know|advise|remind me)"
            r"(?: about)?(?: if| whether)?[ ,:]+" + ASKS,
            "",
        ),
        (
            r"^(?:do|does|would) (?:you|anyone|anybody|someone|somebody)(?: here)? (?:happen to )?know"
            r"(?: if| whether)?[ ,:]+" + ASKS,
            "",
        ),
        (r"^(?:do|does|would) (?:you|anyone|anybody) (?:happen to )?know (?:if|whether) ", ""),
        (
            r"^i (?:would like|would love|want|need|am trying|am looking) to (?:know|find out|understand|ask)"
            r"(?: about)?(?: if| whether)?[ ,:]+" + ASKS,
            "",
        ),
        (r"^i (?:would like|want|need) to (?:know|find out|ask) (?:if|whether) ", ""),
        (r"^(?:any|got any) ideas? " + ASKS, ""),
        (r"^(?:could|would|will|can) (?:you|we) (?:please|kindly) ", ""),
    )
)
"""What may stand before a question; taken off as long as one fits."""
CLOSINGS = re.compile(
    r"[ ,.!?;:-]*\b(?:please|pls|thanks(?: a lot| so much| very much| in advance)?|many thanks|thx|cheers|ta"
    r"|thank you(?: very much| so much| in advance)?|kind regards|if possible|if you do not mind|if you can"
    r"|by any chance)[ ,.!?;:-]*$"
)

LEFT_OUT = listed(
    "a an the is are am be being do does any please kindly actually basically exactly really simply just literally"
    " there own"
)
PASSIVE = listed("is are am be being get gets got getting")
"""Before a participle these say who does it and to whom it is done: there they stay."""
PARTICIPLES = listed(
    "paid told given taken made sold bought sent held kept lost found built written known seen done hit cut caught"
    " taught brought left read put set shut hurt eaten beaten broken chosen driven drawn hidden stolen thrown worn torn"
    " shown spent sworn led fed met won understood forgotten forgiven bitten shot stuck struck fought sung"
)
OWNERS: Mapping[str, int] = MappingProxyType({"my": 1, "our": 1, "mine": 1, "ours": 1, "your": 2, "yours": 2})
"""Whose a thing is: may be left out, never exchanged."""
ALIKE: Mapping[str, str] = MappingProxyType(
    {
        "which": "what", "could": "can", "might": "may", "shall": "will", "we": "i", "us": "me", "till": "until",
        "til": "until", "into": "in", "onto": "on", "has": "have", "were": "was",
        "every": "each", "via": "through", "cannot": "not", "nor": "not", "n't": "not",
        "&": "and", "@": "at", "whilst": "while", "amongst": "among", "towards": "toward", "inside": "in",
        "upon": "on", "below": "under", "beneath": "under", "above": "over", "whether": "if", "dont": "not",
        "anyone": "someone", "anybody": "someone",
        "somebody": "someone", "anything": "something", "everybody": "everyone",
    }
)  # fmt: skip
NEGATIONS = listed("not no never none nobody nothing neither without non except unless nowhere hardly barely unable")
HEADS = listed(
    "to from for of with without by about until since before after under over between than as per in on at near during"
    " through if because while unless against within outside across behind above below among toward like via beside"
    " and or but"
)
"""Begin a phrase: the words behind one belong to it, in their order."""
QUESTIONS = listed(
    "qhow qcost qhave qwhere qmean qcause qdo iwant what when where why who whose how can need should will"
)
PHRASAL = listed(
    "turn switch log sign opt put get take go come check plug give hand break cash fill lock trade step move hold carry"
    " keep let shut pull push roll bring phase zoom cut call pay set look work run back pass hang try"
)
"""Behind these in, on, at, off are part of the verb."""
PLACES = frozenset({"in", "on", "at"})
WEEKDAYS = listed("monday tuesday wednesday thursday friday saturday sunday weekday weekend")
MONTHS = listed("january february march april may june july august september october november december")
DAYS: Mapping[str, str] = MappingProxyType(
    {
        "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday",
        "thur": "thursday", "thurs": "thursday", "fri": "friday", "jan": "january", "feb": "february", "apr": "april",
        "jun": "june", "jul": "july", "aug": "august", "sep": "september", "sept": "september", "oct": "october",
        "nov": "november", "dec": "december",
    }
)  # fmt: skip
FUNCTION = frozenset(
    HEADS
    | QUESTIONS
    | NEGATIONS
    | LEFT_OUT
    | frozenset(OWNERS)
    | frozenset(ALIKE)
    | listed(
        "did had was been passive"
        " i me you he she it they him her them his hers its their theirs this that these those what which who whom"
        " whose when where why how can may should would will need have if then so too also only even still already yet"
        " again all each both some many much more most less least few other another such same up down out off back not"
        " get go"
    )
)
"""Words that are no names and no things; never taken for misspelt ones."""
