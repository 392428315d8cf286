"""Numbers that documentation is written with: nobody's telephone, card, account or insurance number."""

from __future__ import annotations

import re

_FREE = frozenset(("800", "888", "877", "866", "855", "844", "833", "900"))
_COUNTED = frozenset(("1234567890", "0123456789", "123456789", "9876543210", "987654321", "11234567890", "12345678"))
_NUMBERS = frozenset(("078051120", "219099999", "123456789", "000000000", "111111111", "532013000"))
_NEVER_GIVEN = re.compile(r"000|666|...00|.....0000|98765432")
"""Areas, groups and serials of social security that do not exist, and those kept for advertising."""
_CARDS = frozenset(
    ("4111111111111111", "4242424242424242", "5555555555554444", "5105105105105100", "378282246310005",
     "371449635398431", "378734493671000", "6011111111111117", "6011000990139424", "6011981111111113",
     "4012888888881881", "4000056655665556", "4222222222222", "5200828282828210", "2223003122003222",
     "30569309025904", "38520000023237", "3056930009020004", "36227206271667", "3530111333300000",
     "3566002020360505", "6200000000000005", "4917610000000000", "5019717010103742", "6331101999990016")
)  # fmt: skip
_STRIPE = re.compile(r"40000[0-9]{3}0000[0-9]{4}")
"""Test cards of payment providers, by country and by what is to happen."""
_IBANS = frozenset(
    ("GB82WEST12345698765432", "GB29NWBK60161331926819", "GB33BUKB20201555555555", "DE89370400440532013000",
     "DE91100000000123456789", "DE75512108001245126199", "FR1420041010050500013M02606", "FR7630006000011234567890189",
     "NL91ABNA0417164300", "NL02ABNA0123456789", "ES9121000418450200051332", "ES7921000813610123456789",
     "IT60X0542811101000000123456", "CH9300762011623852957", "CH5604835012345678009", "BE68539007547034",
     "BE71096123456769", "AT611904300234573201", "AT483200000012345864", "PL61109010140000071219812874",
     "PL10105000997603123456789123", "SE4550000000058398257466", "NO9386011117947", "NO8330001234567",
     "DK5000400440116243", "FI2112345600000785", "FI1410093000123458", "IE29AIBK93115212345678",
     "IE64IRCE92050112345678", "PT50000201231234567890154", "LU280019400644750000", "CZ6508000000192000145399",
     "SK3112000000198742637541", "HU42117730161111101800000000", "GR1601101250000000012300695",
     "RO49AAAA1B31007593840000", "BG80BNBG96611020345678", "HR1210010051863000160", "SI56263300012039086",
     "LT121000011101001000", "LV80BANK0000435195001", "EE382200221020145685", "MT84MALT011000012345MTLCAST001S",
     "CY17002001280000001200527600", "TR330006100519786457841326", "SA0380000000608010167519",
     "AE070331234567890123456", "IL620108000000099999999")
)  # fmt: skip
"""Those of the registry of SWIFT, and of banks' own pages."""
_DRAMA = re.compile(
    r"(?:1?[2-9][0-9]{2})?5550[0-9]{3}|1?[2-9][0-9]{2}555[0-9]{4}"
    r"|(?:0044|44|0)0?(?:1632960|2079460|7700900|1[1-6]14960|1914980|2890180|2920180|3069990|8081570|9098790)[0-9]{3}"
    r"|(?:0033|33|0)0?(?:1990|2619|3530|4650|5360|6399)[0-9]{5}"
    r"|(?:0049|49|0)0?(?:3023125|6990009|4066969|22146691?|8999998)[0-9]{3}"
    r"|(?:0061|61|0)0?(?:[2378](?:5550|7010)[0-9]{4}|491570[0-9]{3})"
)
"""Kept for films and books by who gives numbers out in North America, Britain, France, Germany and Australia."""


def example(type_: str, value: str) -> bool:
    """Whether a value of this type stands in documentation, or is a number that everybody may know."""
    digits = "".join(sign for sign in value if "0" <= sign <= "9")
    if type_ == "PHONE":
        return (
            digits[-10:][:3] in _FREE
            or len(set(digits)) <= 2
            or digits in _COUNTED
            or _DRAMA.fullmatch(digits) is not None
        )
    if type_ == "CREDIT_CARD":
        return digits in _CARDS or _STRIPE.fullmatch(digits) is not None or len(set(digits)) == 1
    if type_ == "IBAN":
        return "".join(filter(str.isalnum, value)).upper() in _IBANS
    if type_ == "SSN" and _NEVER_GIVEN.match(digits):
        return True
    return digits in _COUNTED or digits in _NUMBERS
