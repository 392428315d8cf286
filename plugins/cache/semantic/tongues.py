"""German, Spanish and French as the second stage reads them: politeness off, a question in one form, nothing more.

No lists of words as for English: every word that carries meaning must stand in both texts. What may differ is the form
of one verb (`wie kann ich es ändern`, `wie ändere ich es`), accents left out, and where that verb stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from plugins.cache.semantic.gist import Gist
from plugins.cache.semantic.words import listed

LEAST = 2
"""Words that only this language has, before a text is read as one of it."""


@dataclass(frozen=True, slots=True)
class Tongue:
    """`known`: words that tell the language; `left_out`: that say nothing; `heads`: bind the next word."""

    known: frozenset[str]
    left_out: frozenset[str]
    heads: frozenset[str]
    rules: tuple[tuple[re.Pattern[str], str], ...]
    infinitive: re.Pattern[str]
    finite: re.Pattern[str]
    alike: Mapping[str, str]
    prefixes: frozenset[str] = frozenset()
    moves: bool = False
    """Whether a verb that is finite stands elsewhere than one that is not."""


def _rules(*pairs: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), written) for pattern, written in pairs)


def _alike(table: str) -> Mapping[str, str]:
    return MappingProxyType({word: line.split()[0] for line in table.split("/") for word in line.split()})


GERMAN = Tongue(
    listed(
        "ich wie wo wann warum wieso wer welche welcher welches mein meine meinen der die das den dem ein eine einen"
        " ist sind nicht kann mit ohne und oder von nach fur bitte man habe haben wird werden mir mich auf zu im"
        " am es gibt viel viele was bei"
    ),
    listed(
        "der die das den dem des ein eine einen einem einer eines mein meine meinen meinem meiner meines unser unsere"
        " unseren bitte mal denn eigentlich gerne gern einfach ist sind am im es zu ich man wir genau"
    ),
    listed("von nach mit ohne fur gegen vor ab bis aus uber unter zwischen als in auf an bei seit wahrend zum zur"),
    _rules(
        (r"^(?:hallo|hi|hey|guten (?:tag|morgen|abend)|moin|servus)\b[ ,!.]*", ""),
        (r"[ ,!.?]*\b(?:danke(?: schon)?|vielen dank|bitte|lg|mfg|danke im voraus)[ ,!.?]*$", ""),
        (r"^bitte[ ,]*", ""),
        (r"^(?:(?:konnen|konnten) sie|(?:kannst|konntest) du)(?: mir)?(?: bitte)? (?:sagen|erklaren|verraten|helfen"
     r"|zeigen)"
         r"[ ,]*", ""),
        (r"^(?:sag|sagen sie|erklar|erklaren sie|zeig|zeigen sie)(?: mir)?(?: bitte)?[ ,]+(?=w)", ""),
        (r"^(?:ich (?:mochte|wurde gerne?|will|wusste gerne?)(?: gerne?)?(?: wissen)?|weisst du"
     r"|wissen sie)[ ,]+(?=w)", ""),
        (r"\bwie (?:kann|konnte|muss|soll|sollte|darf) (?:ich|man|wir) ", "wie "),
        (r"\bwo (?:kann|konnte|muss|soll|sollte|darf) (?:ich|man|wir) ", "wo "),
        (r"\bwas ist der (?:beste |richtige )?weg,? (?:um )?", "wie "), (r"\bwas muss ich tun,? um ", "wie "),
        (r"\bwie ?viel kostet\b|\bwas kosten\b|\bwie viel kosten\b", "was kostet"),
        (r"\bwie lange (?:braucht|dauern)\b", "wie lange dauert"), (r"\bwieviel", "wie viel"),
        (r"\b(?:wieso|weshalb|aus welchem grund)\b", "warum"), (r"\b(?:um wie viel uhr|um wieviel uhr)\b", "wann"),
    ),
    re.compile(r"(?:e?n)$"), re.compile(r"(?:e|st|t|et|en)?$"),
    _alike("passwort kennwort/loschen entfernen/handy smartphone/computer rechner/email mail/auto pkw"),
    listed("zuruck ab an auf aus ein um vor weg hoch herunter runter fest hinzu mit los zusammen frei"),
    True,
)  # fmt: skip
SPANISH = Tongue(
    listed(
        "el la los las un una como cuanto cuanta cuantos cual donde cuando por que quien es son mi mis de del para con"
        " sin no puedo se en al y o tu su esta hay tengo"
    ),
    listed("el la los las un una unos unas mi mis nuestro nuestra me es son favor exactamente"),
    listed("de del a al para con sin por desde hasta en entre sobre contra que antes despues hacia"),
    _rules(
        (r"^[¿¡ ]+", ""), (r"^(?:hola|buenos dias|buenas tardes|buenas)\b[ ,!.]*", ""),
        (r"[ ,!.?]*\b(?:gracias|muchas gracias|por favor|porfa)[ ,!.?]*$", ""), (r"^por favor[ ,]*", ""),
        (r"^(?:me )?(?:puedes|puede|podrias|podria)(?: usted)? (?:decirme|decir|explicarme|explicar|indicarme"
     r"|indicar)[ ,¿]*",
         ""),
        (r"^(?:dime|digame|indicame|explicame)[ ,:¿]+", ""),
        (r"^(?:quisiera|quiero|necesito|me gustaria) saber[ ,:¿]*", ""), (r"^por favor[ ,]*", ""),
        (r"\bcomo (?:puedo|podria|se puede|debo|tengo que|hago para|hacer para|podemos|puede uno) ", "como "),
        (r"\bdonde (?:puedo|podria|se puede|podemos) ", "donde "),
        (r"\bcual es la (?:mejor )?(?:forma|manera) de ", "como "),
        (r"\b(?:que precio tiene|cuanto vale|que cuesta|cual es el precio de)\b", "cuanto cuesta"),
        (r"\b(?:por que razon|por que motivo)\b", "por que"), (r"\ba que hora\b", "cuando"),
    ),
    re.compile(r"[aei]r$"), re.compile(r"(?:o|a|e)$"),
    _alike("contrasena clave/cancelar anular/eliminar borrar/movil celular/coche carro auto/correo mail"),
)  # fmt: skip
FRENCH = Tongue(
    listed(
        "le la les un une des du de mon ma mes comment combien quel quelle quels quelles ou quand pourquoi qui est sont"
        " je vous puis peut avec sans et ne pas pour dans sur mon est-ce que a l d"
    ),
    listed("le la les l un une des mon ma mes notre nos est sont je on me exactement"),
    listed("de du d a au aux pour avec sans par dans sur entre vers contre depuis avant apres chez en jusqu que"),
    _rules(
        (r"^(?:bonjour|bonsoir|salut|coucou)\b[ ,!.]*", ""),
        (r"[ ,!.?]*\b(?:merci(?: d'avance| beaucoup)?|s'?il (?:vous|te) plait|svp|stp)[ ,!.?]*$", ""),
        (r"^(?:svp|stp|s'il (?:vous|te) plait)[ ,]*", ""),
        (r"^(?:pouvez-vous|pourriez-vous|peux-tu|pourrais-tu)(?: me)? (?:dire|expliquer|indiquer)[ ,:]*", ""),
        (r"^(?:dites|dis|expliquez|explique)-moi[ ,:]*", ""),
        (r"^(?:je (?:voudrais|veux|souhaite)|j'aimerais) savoir[ ,:]*", ""),
    (r"\best[- ]ce que\b|\best[- ]ce qu'", " "),
        (r"\bcomment (?:puis-je|peut-on|je peux|faire pour|dois-je|je dois|on peut|pouvons-nous"
     r"|fait-on pour) ", "comment "),
        (r"\bou (?:puis-je|peut-on|je peux|on peut) ", "ou "),
        (r"\bquelle est la (?:meilleure )?(?:facon|maniere) (?:de |d')", "comment "),
        (r"\b(?:quel est le prix (?:de |d'|du )|combien ca coute |combien coutent )", "combien coute "),
        (r"\bpour quelle raison\b", "pourquoi"), (r"\ba quelle heure\b", "quand"),
    ),
    re.compile(r"(?:er|ir|re)$"), re.compile(r"(?:e|es|is|s|ons)$"),
    _alike("supprimer effacer/email courriel mail/modifier changer/telephone portable"),
)  # fmt: skip
TONGUES = (GERMAN, SPANISH, FRENCH)
STRESSED = str.maketrans({"ß": "ss", "\u2019": "'", "æ": "ae", "œ": "oe"})


def foreign(lower: str, english: int) -> Gist | None:
    """The gist of a text in one of these languages; None where it is in none, or has as many words of English."""
    line = _plain(lower)
    words = re.findall(r"[a-z0-9]+", line)
    counts = [sum(word in tongue.known for word in words) for tongue in TONGUES]
    most = max(counts)
    if most < LEAST or most <= english or counts.count(most) > 1:
        return None
    at = counts.index(most)
    return _gist(line, TONGUES[at], "dsf"[at])


def same(one: Gist, other: Gist) -> bool:
    """Whether two of one language ask the same: one verb may have changed its form. Of English ones: False."""
    if not one.order or not other.order or one.kind != other.kind or one.whole != other.whole:
        return False
    tongue = TONGUES["dsf".index(one.kind)]
    ours, theirs = list(one.order), list(other.order)
    if ours == theirs:
        return True
    left = [word for word in ours if word not in theirs]
    right = [word for word in theirs if word not in ours]
    if len(left) != len(right) or len(left) > 1:
        return False
    if not left:
        return False
    mine, facing = left[0], right[0]
    if not _forms(tongue, mine, facing):
        return False
    moved = ours.index(mine) != theirs.index(facing)
    ours.remove(mine)
    theirs.remove(facing)
    return ours == theirs and (moved or not tongue.moves)


def _forms(tongue: Tongue, one: str, other: str) -> bool:
    """Whether one is the infinitive of the other."""
    return any(
        tongue.infinitive.search(long) and tongue.finite.search(short)
        and tongue.infinitive.sub("", long) == tongue.finite.sub("", short)
        for long, short in ((one, other), (other, one))
    )  # fmt: skip


def _plain(lower: str) -> str:
    spread = unicodedata.normalize("NFD", lower.translate(STRESSED))
    folded = "".join(letter for letter in spread if unicodedata.category(letter) != "Mn")
    return " ".join(folded.split())


def _gist(line: str, tongue: Tongue, kind: str) -> Gist:
    for pattern, written in tongue.rules:
        line = pattern.sub(written, line).strip()
    said = [tongue.alike.get(word, word) for word in re.findall(r"[a-z0-9]+(?:[.,:][0-9]+)*", line)]
    asks = bool(said) and said[0] in ("wie", "wo", "wann", "warum", "was")
    kept: list[str] = []
    bound: list[tuple[str, ...]] = []
    head = ""
    for word in said:
        if word in tongue.heads and not (word in tongue.prefixes and word is said[-1]):
            head = f"{head} {word}".strip()
        elif word in tongue.left_out and (word not in ("ich", "man", "wir") or asks):
            continue
        elif head:
            bound.append((head, word))
            head = ""
        else:
            kept.append(word)
    if head:
        bound.append((head,))
    kept = _joined(kept, tongue)
    if not kept:
        return Gist()
    stems = sorted(tongue.finite.sub("", tongue.infinitive.sub("", word)) for word in kept)
    return Gist(kind, tuple(stems), tuple(sorted(bound)), order=tuple(kept))


def _joined(words: list[str], tongue: Tongue) -> list[str]:
    """`setze ... zurück` as one word, as in `zurücksetzen`."""
    if len(words) < 3 or words[-1] not in tongue.prefixes:
        return words
    return [words[0], words[-1] + words[1], *words[2:-1]]
