"""What the words beside a number say it is: labels in many languages, the nearest one decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

PHONE, SSN, CARD, BANK, DOB, NATIONAL = "PHONE", "SSN", "CREDIT_CARD", "BANK_ACCOUNT", "DOB", "NATIONAL_ID"
PASSPORT, LICENCE, IBAN, IP, CALL, OTHER = "PASSPORT", "DRIVER_LICENSE", "IBAN", "IP", "CALL", ""
"""`CALL` is a word that telephones share with programs (call, text, cell): it needs a number that looks like one.
`OTHER` marks numbers that are nobody's: orders, versions, amounts, times."""

REACH: Final = 48
"""Characters before a number in which its label may stand."""

WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ɏ]+|[A-ZÀ-ÖØ-Þ]+(?![a-zß-öø-ɏ])|[^\W\d_]+")
"""Also the parts of names as programs write them: `phoneNumber`, `card_no`."""
BLANK: Final = " \t\r\n\"'([{<*`|:+=-_#>\\"
AFTER = re.compile(r"[ \t]{0,2}[-(\[,/]?[ \t]?([^\W\d_]+)")
PLACES: Final = frozenset(("office", "home", "work", "mobile", "cell", "fax", "tel", "phone", "landline"))
TO_WHOM: Final = frozenset(("me", "us", "him", "her", "them", "at", "on", "under"))
WHOSE: Final = frozenset(
    ("my", "his", "her", "our", "their", "your", "mine", "mi", "mein", "meine", "mon", "mio", "meu", "mijn")
)
IDENTITIES: Final = frozenset((NATIONAL, PASSPORT, LICENCE, SSN))
"""Kinds that stay what they are before the word `id`, which else makes a number nobody's."""
NEAR: Final = frozenset((OTHER, NATIONAL, PASSPORT, LICENCE, BANK))
FAR, FARTHER = 1, 4
"""Words that may stand between a number and a label of nobody's numbers or of papers, `NEUTRAL` ones not counted."""
CITIZENS: Final = frozenset(("national", "citizen", "personal", "identity", "resident", "tax"))
NEUTRAL: Final = frozenset(
    ("is", "was", "of", "the", "a", "nr", "the", "and", "or", "to", "from", "with", "for", "in", "at")
)
NUMBERS: Final = frozenset(("number", "numbers", "nummer", "numero", "número", "numéro", "numer", "no", "nr"))
SENTENCE = re.compile(r"[a-z]{4}[.!?] +(?=[A-Z](?!umber|ummer|r\b|o\b|t is|t\'s))")
SUFFIX = re.compile(r"(?:number|nummer|nr|num|no)s?\Z")

_WORDS: Mapping[str, str] = {
    PHONE: """phone phones telephone tel tele tels mobile cellphone cellular fax landline hotline whatsapp viber sms
        msisdn voicemail mobil mobilfunk telefon telefonisch fon rufnummer anruf anrufen rufen durchwahl
        festnetz mobiltelefon telefax telephonique portable appeler appelez appelle joindre joignable
        joignez telefono móvil movil celular llamar llame llamame llámame llámeme fijo cellulare chiamare
        chiama chiamami chiamate telefonare recapito telefone telemóvel telemovel ligar ligue telefoon
        mobiele mobiel bellen gsm telefonu telefonem telefonie komórka komórkowy komorka dzwonić zadzwoń
        kontaktowy telefonnummer puhelin puhelinnumero matkapuhelin soita mobilnummer telefonnr ringa
        mobiltelefonnummer cep telefonum switchboard callback phonenumber teléfono téléphone тел телефон
        телефона телефону мобильный мобильного моб звоните позвоните номер телефоном""",
    CALL: """call calls called calling caller text texts cell message messages messaging signal ring reach reachable
        answer answering contact contacts handy desk ara bel fixe fixo dial dialed dialled pager hit drop
        ping""",
    SSN: "ssn ssns social sozialversicherung socialsecurity sss",
    CARD: """card cards creditcard debitcard visa mastercard amex discover maestro jcb diners unionpay pan cc
        kreditkarte kreditkartennummer karte carte tarjeta carta cartao cartão creditcardnummer kaart
        karta karty kort kortnummer karten cardnumber credit debit ccnum""",
    BANK: "account acct acc konto kontonummer kontonr compte cuenta conto conta rekening rachunek banking",
    DOB: """born birth birthday birthdate birthdates dob geboren geburtsdatum geburtstag geb nacimiento nacido nacida
        naissance née né nascita nato nata nascimento nascido nascida geboortedatum urodzenia urodzony urodzona
        födelsedatum född fødselsdato født syntymäaika dogum doğum""",
    NATIONAL: """nhs aadhaar aadhar pesel cpf cnpj dni nie nif nino bsn cedula cédula curp rut sin tfn personnummer
        personnr steuer steuerid identifikationsnummer fiscale fiscal insee nir hkid nric rrn
        burgerservice insurance henkilötunnus egn cnp jmbg oib isikukood amka ahv avs ssnr svnr
        nhsnumber pps ppsn medicare cuil cuit rg krankenversicherung krankenkasse codice""",
    PASSPORT: """passport passports reisepass pass passeport pasaporte passaporto passaporte paspoort paszport pasport
        passnummer passi pasaportu passportnumber""",
    LICENCE: """license licence licences licenses driver drivers driving führerschein führerscheinnummer fahrerlaubnis
        permis conduire conducir patente rijbewijs prawo jazdy körkort dl""",
    OTHER: """order orders ordernumber bestellung bestellnummer auftrag auftragsnummer commande pedido ordine zamówienie
        tracking sendung sendungsnummer shipment parcel trackingnumber colis id ids uid uuid guid userid tenant ticket
        invoice rechnung rechnungsnummer factura facture fattura ref reference referenz booking sku isbn issn doi
        serial seed epoch timestamp timestamps ts time date version versions build release commit parent hash sha
        digest checksum coords lat lon lng score loss total amount price cost usd eur gbp step steps pid port ports
        index offset size length bytes count counter nonce block blocks height case mrn po pr rfc cve error code
        line lines page pages row rows item items product part article artikel model batch lot asset
        transaction txn trace span session request req job task bug issue revision rev quantity qty value values
        mac imei imsi zip postcode plz kunden kundennummer customer client employee member policy claim diffs diff
        chrome firefox android range between score ratio population db database thread process latency duration
        temperature pool epochs iteration wait gc ean upc gtin barcode paket lieferung created updated expires max
        min sum avg mean test tests routing sort swift bic pagina número_de_pedido numéro_de_commande numero_ordine""",
    IP: "ip ipv ips ipaddress",
    IBAN: "iban",
}


def _flat(words: Mapping[str, str]) -> dict[str, str]:
    return {word: kind for kind, listed in words.items() for word in listed.split()}


LABELS: Mapping[str, str] = MappingProxyType(_flat(_WORDS))
INSIDE: Final = (
    (
        PHONE,
        ("電話", "携帯", "手机", "电话", "手機", "號碼", "전화", "핸드폰", "휴대", "連絡先", "هاتف", "جوال", "טלפון"),
    ),
    (PHONE, ("फोन", "मोबाइल", "โทร")),
    (CARD, ("カード", "信用卡", "銀行卡", "银行卡", "카드")),
    (OTHER, ("注文", "追跡", "订单", "訂單", "주문", "заказ", "単号", "单号")),
    (DOB, ("生年月日", "誕生日", "出生", "생년월일", "родил", "рождения")),
    (NATIONAL, ("身份证", "身分證", "マイナンバー", "주민등록", "паспорт", "снилс", "инн")),
)
"""Languages that put no spaces between words: pieces looked for inside a run of letters."""


def kind_of(word: str) -> str | None:
    """The kind that one word names, `""` for a number that is nobody's; None if the word says nothing."""
    low = word.lower()
    kind = LABELS.get(low)
    if kind is None and len(low) > 4:
        kind = LABELS.get(SUFFIX.sub("", low))
    if kind is None and not low.isascii():
        kind = _inside(low)
    return kind


def _inside(word: str) -> str | None:
    best, found = -1, None
    for kind, pieces in INSIDE:
        for piece in pieces:
            place = word.rfind(piece)
            if place > best:
                best, found = place, kind
    return found


def nearest(text: str, start: int, reach: int = REACH) -> str | None:
    """The kind of the last label before `start` in its sentence; None where no word within reach is one. On the line
    before only what stands alone with the number counts, as in a form."""
    return first(reversed(words_before(text, start, reach)))


def words_before(text: str, start: int, reach: int = REACH) -> list[str]:
    """The words of the sentence that `start` is in, as far as they can be its label."""
    written = text[max(0, start - reach) : start]
    line = written.rfind("\n") + 1
    if line:
        bare = written.rstrip(BLANK)
        if len(bare) < line:
            if not bare[-1:].isalpha():
                return []
            line = bare.rfind("\n") + 1
    for stop in SENTENCE.finditer(written, line):
        line = stop.end()
    return WORD.findall(written, line)


def after(text: str, end: int, reach: int = 14) -> str | None:
    """The kind of a label that follows at once on the same line, as in `555-0100 (mobile)`."""
    found = AFTER.match(text, end, end + reach)
    if found is None:
        return None
    word = found[1].lower()
    return PHONE if word in PLACES else kind_of(word)


def first(words: Iterable[str]) -> str | None:
    """The kind of the first word that is a label. `My number` is how people name their telephone, and `call me at`."""
    words = iter(words)
    numbered = told = False
    passed = 0
    for word in words:
        low = word.lower()
        kind = kind_of(word)
        if kind is not None:
            if passed > (FAR if kind == OTHER else FARTHER) and kind in NEAR:
                return None
            if low == "id":
                before = next(words, "")
                named = NATIONAL if before.lower() in CITIZENS else kind_of(before)
                return named if named in IDENTITIES else OTHER
            return PHONE if kind == CALL and told else kind
        if numbered and low in WHOSE:
            return PHONE
        numbered = numbered or low in NUMBERS
        told = told or low in TO_WHOM
        passed += low not in NEUTRAL and low not in NUMBERS
    return None
