"""A detector of others at work, run by its own Python: texts on standard input, findings on standard output.

    PYTHON stranger.py presidio|datafog < texts.json > findings.json

In: a JSON list of texts. Out: {"found": [[[start, end, type, score], ...], ...], "seconds": [...]}, one entry a text.
Only the standard library and the detector itself are imported: this runs where nothing else of this project is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

Findings = list[tuple[int, int, str, float]]
_PRESIDIO = """
    EMAIL_ADDRESS:EMAIL PHONE_NUMBER:PHONE US_SSN:SSN IBAN_CODE:IBAN IP_ADDRESS:IP DATE_TIME:DATE US_ITIN:SSN
    US_BANK_NUMBER:BANK_ACCOUNT US_PASSPORT:PASSPORT US_DRIVER_LICENSE:DRIVER_LICENSE MAC_ADDRESS:MAC
    UK_NHS:NATIONAL_ID UK_NINO:NATIONAL_ID
"""
PRESIDIO = dict(pair.split(":") for pair in _PRESIDIO.split())
DATAFOG = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD")
"""Its pattern for IP addresses matches any number and nothing at all: in its favour that type is left out."""


def presidio() -> Callable[[str], Findings]:
    """All its English recognisers that need no model; the language model is a blank one."""
    spacy, analyzer = import_module("spacy"), import_module("presidio_analyzer")
    nlp = import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine()
    nlp.nlp = {"en": spacy.blank("en")}
    registry = analyzer.RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=nlp)
    engine = analyzer.AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])

    def find(text: str) -> Findings:
        found = engine.analyze(text=text, language="en")
        return [(one.start, one.end, PRESIDIO.get(one.entity_type, one.entity_type), one.score) for one in found]

    return find


def datafog() -> Callable[[str], Findings]:
    """Its engine of regular expressions."""
    detect: Any = import_module("datafog").detect

    def find(text: str) -> Findings:
        return [(one["start"], one["end"], one["type"], 1.0) for one in detect(text) if one["type"] in DATAFOG]

    return find


def main() -> int:
    find = {"presidio": presidio, "datafog": datafog}[sys.argv[1]]()
    find("The first text makes what is made once: ann@example.org")
    found, seconds = [], []
    for text in json.load(sys.stdin):
        start = time.perf_counter()
        found.append(find(text))
        seconds.append(time.perf_counter() - start)
    json.dump({"found": found, "seconds": seconds}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
