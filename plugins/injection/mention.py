"""What a text only talks about, taken out of it: quotations that it discusses, orders that it reports or denies."""

from __future__ import annotations

import re

MOST_QUOTED = 300
"""Characters of a quotation: longer ones are read as if they were not quoted."""
MARKS = (
    ('"', '"'), ("`", "`"), ("\u00ab", "\u00bb"), ("\u201e", '"'), ("\u300c", "\u300d"), ("\u300e", "\u300f"),
    ("\u201c", "\u201d"),
)  # fmt: skip
"""Quotation marks, before and behind."""


def _either(words: str) -> str:
    """Of words with blanks between, `_` for a blank inside: a pattern of any of them."""
    return "|".join(words.split()).replace("_", " ")


QUOTED = re.compile(
    rf'"""[^"]{{2,{MOST_QUOTED}}}"""'
    + "".join(rf"|{one}[^{one}{other}\n]{{2,{MOST_QUOTED}}}{other}" for one, other in MARKS)
    + rf"|(?<!\w)'[^'\n]{{2,{MOST_QUOTED}}}'(?!\w)|\bquote, [^\n]{{2,{MOST_QUOTED}}}?, end quote\b"
)
_TALK = _either(
    r"""
    phrases? sentences? wording examples? such_as e\.g\. called named explain\w* translat\w+ mean(?:s|ing)?
    attack\w* injections? jailbreak\w* lectures? slides? tickets? quot\w+ detect\w* classif\w+ label\w*
    articles? papers? customers? incidents? report\w* regex\w* tests? tested logs? commits? diffs? review\w*
    readme docs? exams? students? glossary summari[sz]e\w* rewrite rephrase shorten grammar spelling correct
    draft\w* novel story scene screenplay character game dialogue titles? says? said told typed wrote asks?
    asked reads contains? containing included string docstrings? function variable comments? button file
    filters? bot chatbot duplicates? refused flagged alert bug crash\w* fixtures? moderation improve compare
    line shouts? shouted whispers? whispered cries poem song
    phrase satz beispiel\w* erkl\u00e4r\w* \u00fcbersetz\w* bedeute\w* vortrag\w*
    kunde angriff\w* fasse
    schreib\w* korrigier\w* exemple expli\w+ tradu\w+ signifi\w+ corrig\w+ attaque \u00e9crit frase ejemplo
    ataque cliente esempio significa spiega\w* exemplo voorbeeld vertaa?l\w* zin przyk\u0142ad\w*
    przet\u0142umacz\w* zdanie \u043f\u0435\u0440\u0435\u0432\u0435\u0434\u0438\w* \u0444\u0440\u0430\u0437\w*
    \u043f\u0440\u0438\u043c\u0435\u0440\w* \u0430\u0442\u0430\u043a\w* c\u00fcmle\w* \u00f6rne\u011fi\w*
    \u00e7evir\w*
    """
)
_TALK_UNSPACED = _either(
    """
    \u7ffb\u8bd1 \u7ffb\u8b6f \u4f8b\u5b50 \u4f8b\u5982 \u6bd4\u5982 \u653b\u51fb \u653b\u64ca \u53e5
    \u89e3\u91ca \u610f\u601d \u8a33\u3057 \u82f1\u8a33 \u7ffb\u8a33 \u3068\u3044\u3046 \u4f8b \u653b\u6483
    \ubb38\uc7a5 \ubc88\uc5ed \uc608\uc2dc \uacf5\uaca9 \u062a\u0631\u062c\u0645 \u062c\u0645\u0644\u0629
    \u0645\u062b\u0627\u0644 \u0935\u093e\u0915\u094d\u092f \u0905\u0928\u0941\u0935\u093e\u0926
    \u0909\u0926\u093e\u0939\u0930\u0923
    """
)
DISCUSSED = re.compile(rf"\b(?:{_TALK})\b|{_TALK_UNSPACED}", re.IGNORECASE)
"""Words of texts that talk about the words of others."""
_OBEY = _either(
    r"""
    obey carry_(?:it_|them_)?out do_(?:it|so|that|this|as|what) act_on
    follow_(?:it|them|that|this|what|the_(?:quoted|above)) comply execute perform
    as_(?:the|that)_(?:sentence|text|quote|phrase)_says run_(?:it|them|this) respond_to_(?:it|them|this)
    answer_(?:it|him|her|them) first_(?:obey|do|follow) then_(?:do|follow|answer|reveal|print|show)
    in_this_very truthfully real_key befolg\w* f\u00fchr\w*_(?:es|sie)_aus suis-l\w+ ex\u00e9cut\w+ obede\w+
    ejec\u00fat\w* esegui\w* cumpl\w+
    """
)
_SHAPE = r"(?:begin|start|repl(?:y|ies)|answers?|respond)\s+(?:\w+\s+){0,3}(?:with|starting|beginning|using|as)"
_OBEY_UNSPACED = _either(
    "\u6267\u884c \u57f7\u884c \u9075\u5b88 \u5b9f\u884c \u5f93\u3063\u3066 \u0432\u044b\u043f\u043e\u043b\u043d\u0438"
)
OBEYED = re.compile(rf"\b(?:{_OBEY}|{_SHAPE})\b|{_OBEY_UNSPACED}", re.IGNORECASE)
"""Words of texts that want what they quote to be done."""

_VERB = "(?:" + _either(
    r"""
    ignor(?:e[sd]?|ing) disregard(?:s|ed|ing)? forg(?:ets?|ot|etting) overrid(?:e[sn]?|ing)
    bypass(?:e[sd]|ing)? circumvent(?:s|ed|ing)? disobey(?:s|ed|ing)? reveal(?:s|ed|ing)?
    disclos(?:e[sd]?|ing) leak(?:s|ed|ing)? expos(?:e[sd]?|ing) show(?:s|ed|ing)? print(?:s|ed|ing)?
    repeat(?:s|ed|ing)? display(?:s|ed|ing)? redact(?:s|ed|ing)? discard(?:s|ed|ing)? export(?:s|ed)?
    list(?:s|ed)? share[sd]? break(?:s|ing)? violat(?:e[sd]?|ing) dismiss(?:es|ed)? skip(?:s|ped|ping)?
    drop(?:s|ped|ping)? pass(?:es|ed)? access see dump read forward(?:s|ed|ing)? upload(?:s|ed|ing)?
    send(?:s|ing)? sent transmit(?:s|ted|ting)? disabl(?:e[sd]?|ing)
    remov(?:e[sd]?|ing) eras(?:e[sd]?|ing)
    """
) + ")"  # fmt: skip
_MODAL = _either(
    """
    can could may might must should shall will would do does did has_to have_to need_to needs_to want_to
    wants_to never always also now already sends? has have had
    """
)
_OTHERS = _either(
    "i we he she they it users? employees? students? people attackers? who somebody someone anyone nobody"
)
_TOWARDS = _either(
    r"""
    how ways? try tries tried trying attempts? attempted possible safe able rude wise decided chose refus\w+
    okay? dangerous asks? asked told tells instruct(?:s|ed) used wants? likely why when want like
    """
)
_SPOKE = _either(
    """
    tells? told asks? asked says? said claims? claimed types? typed writes? wrote convinces? instructs?
    persuades?
    """
)
_ARTICLE = "(?:the|a|an|our|my|their|its)"
_ABROAD = r"(?:no|non|ne|n\u00e3o) (?:\w+ ){0,2}?(?:ignor|olvid|revel|mostr|r\u00e9v[e\u00e9\u00e8]l|dimentic)\w*"
_GERMAN = (
    r"(?:nicht|niemals|niemand) (?:\w+ )?(?:missacht|ignorier|umgeh|verr[a\u00e4]t|\u00fcbergeh|zeig|nenn|vergess)\w*"
)
REPORTED = re.compile(
    # others do it, or the speaker
    rf"\b(?:{_OTHERS}|{_ARTICLE} [\w-]+)\s+(?:(?:{_MODAL})\s+)?(?:not\s+|n.t\s+)?(?:\w+ly\s+)?{_VERB}\b"
    # asked or thought about
    rf"|(?<!you )(?<!you are )(?<!you were )\b(?:{_TOWARDS}) (?:it |them |him |her |me |us |{_ARTICLE} \w+ )?"
    rf"to (?:\w+ly )?{_VERB}\b"
    rf"|\bhow (?:do|can|could|should|would|does) (?:\w+ ){{1,3}}?{_VERB}\b"
    # made to
    rf"|\b(?:make|makes|making|made|let|lets|letting|have|having)(?: [\w-]+){{1,4}}? {_VERB}\b"
    # kept from, or forbidden
    rf"|\b(?:from|without|against|of|after|before|for|by|when|while|not|never|n.t|nobody|cannot) (?:\w+ )?{_VERB}\b"
    rf"|\b{_ABROAD}|\b{_GERMAN}"
    # told of people
    rf"|(?P<told>\b(?:attackers?|hackers|users|people|customers|students|guests|criminals)(?: [\w-]+)? (?:{_SPOKE})\b"
    r"[^.!?\n]*)",
    re.IGNORECASE,
)
"""Verbs of orders that are none here: somebody else does it, it is asked how, it is forbidden; and what people said."""


def used(text: str, *, quotes: bool) -> str | None:
    """A text without what it only mentions; None where it mentions nothing. `quotes`: also quotations, where the rest
    of the text discusses them and does not ask to obey them."""
    said = REPORTED.sub(_silenced, text)
    if quotes and QUOTED.search(said):
        around = QUOTED.sub('" "', said)
        if DISCUSSED.search(around) and not OBEYED.search(around):
            said = around
    return None if said == text else said


def _silenced(found: re.Match[str]) -> str:
    """The words up to the verb; the verb goes. Of what people said, nothing stays."""
    return "..." if found["told"] or " " not in found[0] else found[0].rpartition(" ")[0] + " ..."
