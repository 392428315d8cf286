"""Secrets are found by rule, placeholders and clean texts are left alone, and no text takes long."""

from __future__ import annotations

import random
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection.secrets import CAREFULLY, Found, Secrets
from proxy.detection.span import Span

ROOT = Path(__file__).resolve().parents[3]
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
SECRETS = Secrets.packaged()


def drawn(size: int, signs: str = ALNUM, seed: int = 7) -> str:
    """Made here, so that nothing in this file looks like anybody's key."""
    return "".join(random.Random(seed * 1000 + size).choices(signs, k=size))


KEYS = {
    "openai": "sk-" + drawn(48),
    "openai project": "sk-proj-" + drawn(120),
    "anthropic": f"sk-ant-api03-{drawn(93)}AA",
    "google": "AIza" + drawn(35),
    "hugging face": "hf_" + drawn(34, string.ascii_letters),
    "groq": "gsk_" + drawn(52),
    "aws id": "AKIA" + drawn(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "azure": f"{drawn(3)}8Q~{drawn(34)}",
    "digitalocean": "dop_v1_" + drawn(64, HEX),
    "github": "ghp_" + drawn(36),
    "github fine-grained": f"github_pat_{drawn(22)}_{drawn(59)}",
    "gitlab": "glpat-" + drawn(20),
    "npm": "npm_" + drawn(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + drawn(80),
    "docker": "dckr_pat_" + drawn(27),
    "vault": "hvs." + drawn(90),
    "slack": f"xoxb-{drawn(12, '123456789')}-{drawn(13, '123456789')}-{drawn(24)}",
    "slack hook": f"https://hooks.slack.com/services/T{drawn(8).upper()}/B{drawn(8).upper()}/{drawn(24)}",
    "telegram": f"{drawn(10, '123456789')}:A{drawn(34)}",
    "twilio": "SK" + drawn(32, HEX),
    "sendgrid": f"SG.{drawn(22)}.{drawn(43)}",
    "stripe": "sk_live_" + drawn(24),
    "shopify": "shpat_" + drawn(32, HEX),
    "linear": "lin_api_" + drawn(40),
    "databricks": "dapi" + drawn(32, HEX),
    "sourcegraph": "sgp_" + drawn(40, HEX),
    "grafana": f"glsa_{drawn(32)}_{drawn(8, HEX)}",
    "new relic": "NRAK-" + drawn(27, string.ascii_uppercase + "0123"),
    "doppler": "dp.pt." + drawn(43),
    "fly": "fo1_" + drawn(43),
    "jwt": f"eyJ{drawn(30)}.eyJ{drawn(60)}.{drawn(43)}",
    "mailgun": "key-" + drawn(32, HEX),
    "mailchimp": f"{drawn(32, HEX)}-us12",
    "postman": f"PMAK-{drawn(24, HEX)}-{drawn(34, HEX)}",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("frame", ["{}", "the key: {} (old)", 'X="{}"\n', "été {} ключ", '{{"k": "{}"}}'])
def test_the_key_of_a_provider_is_found_wherever_it_stands(key: str, frame: str) -> None:
    text = frame.format(key)
    found = SECRETS.find(text)
    assert [span.type for span in found] == ["SECRET"]
    covered = sum(key[0:] in text[span.start : span.end] or text[span.start : span.end] in key for span in found)
    assert covered == 1


VALUES = {
    "password: {}": "hunter2&Zebra9",
    'db_password = "{}"': "k7-Qx!p2Wm",
    "my password is {}, please": "Sommer2024!",
    "client_secret={}": drawn(32),
    '"x-api-key": "{}"': drawn(24),
    "postgres://app:{}@db/prod": "nHJq2x-pfg",
    "Authorization: Bearer {}": drawn(40),
    "aws_secret_access_key = {}": drawn(40, ALNUM + "/+"),
    "AccountKey={};Suffix": drawn(86, ALNUM) + "==",
    "curl -u {} https://a.b": "ada:Xy7-pqR2!",
    "пароль: {}": "Лето2024!",
    "Authorization: Basic {}": "YWRhOmNvcnJlY3Q0NQ==",
}


@pytest.mark.parametrize(("frame", "value"), VALUES.items(), ids=VALUES)
def test_what_is_assigned_to_the_name_of_a_secret_is_one(frame: str, value: str) -> None:
    text = frame.format(value)
    assert [text[span.start : span.end] for span in SECRETS.find(text)] == [value]


def test_a_private_key_is_found_with_all_its_lines() -> None:
    lines = "\n".join(drawn(64, ALNUM, seed) for seed in range(20))
    block = f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"
    text = f"look:\n{block}\nend"
    assert [text[span.start : span.end] for span in SECRETS.find(text)] == [block]


@pytest.mark.parametrize(
    "text",
    [
        "api_key = YOUR_API_KEY",
        "OPENAI_API_KEY=sk-...",
        "token: ghp_" + "x" * 36,
        "password = os.environ['PW']",
        "password: ${DB_PASSWORD}",
        "secret = settings.auth.secret",
        "password = getpass()",
        "the password is required",
        "the secret to success is practice12345",
        "max_tokens: 40961234567890",
        "key points: 1234 and 5678",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "id: 123e4567-e89b-12d3-a456-426614174000",
        "data:image/png;base64," + drawn(400, ALNUM + "+/"),
        "postgres://user:password@localhost/db",
        "2026-11-22T10:00:00Z INFO token refresh took 120ms id=8f14e45fceea167a",
        "curl -u user:password https://a.b",
        "next_page_token: CAUQAA1234567890abcdef",
        "csrf-token=" + drawn(43),
        "-----BEGIN PUBLIC KEY-----\nMIIB" + drawn(60),
        "aws_access_key: AKIAIOSFODNN7EXAMPLE",
        "https://api.example.com:8443/v1/users?id=1@2",
    ],
)
def test_placeholders_names_and_identifiers_are_left_alone(text: str) -> None:
    assert SECRETS.find(text) == []


def test_nothing_is_found_in_this_projects_own_code() -> None:
    for file in [*ROOT.glob("proxy/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        assert SECRETS.found(file.read_text("utf-8")) == [], file.name


def test_the_rule_that_fired_can_be_asked() -> None:
    text = "a " + KEYS["github"]
    assert SECRETS.found(text) == [Found(2, len(text), "github")]
    assert SECRETS.find(text) == [Span(2, len(text), "SECRET", 1.0)]


def test_places_are_characters_also_behind_signs_of_many_bytes() -> None:
    key = KEYS["gitlab"]
    text = f"日本語 \U0001f511 {key} \ud800 {KEYS['npm']} ü"
    assert [text[span.start : span.end] for span in SECRETS.find(text)] == [key, KEYS["npm"]]


@given(st.text(max_size=300))
def test_any_text_gives_spans_in_order_within_it(text: str) -> None:
    end = 0
    for span in SECRETS.find(text + " " + KEYS["npm"] + " " + text):
        assert end <= span.start < span.end
        end = span.end


@pytest.mark.parametrize("name", KEYS)
def test_a_rule_finds_the_same_without_the_look_at_keywords(name: str) -> None:
    data = KEYS[name].encode()
    alone = {hit.rule for ready in SECRETS._ready for hit in ready.hits(data) if hit is not None}
    looked = {SECRETS.rules[SECRETS._of[number]].id for number in SECRETS._anchors.Match(data)}
    assert alone <= looked


UNITS = (
    "password= ",
    'password: "',
    "-----BEGIN PRIVATE KEY-----\n",
    "curl -u a",
    "eyJaaaaaaaaaaaa.",
    "key_",
    "a",
    "ops_eyJ",
    "http://aaaa:bbbbbbb",
    " sk-a1a1a1a1a1a1a1a1a1",
    "Basic aaaaaaaa ",
    '-H "Authorization: ',
    "1234567890",
    "kind: secret data: ",
    "aws secret key ",
)
WORST = {
    **{unit: unit for unit in UNITS},
    "fresh tokens": "".join(f"token={drawn(20, ALNUM, seed)} " for seed in range(4000)),
    "fresh passwords": "".join(f"password={drawn(9, ALNUM, seed)} " for seed in range(4000)),
}
LONG = 1_000_000


@pytest.mark.parametrize("unit", WORST.values(), ids=WORST)
def test_a_megabyte_of_the_worst_text_takes_no_rule_long(unit: str) -> None:
    text = (unit * (LONG // len(unit) + 1))[:LONG]
    SECRETS.find(text[:1000])
    begun = time.process_time()
    SECRETS.find(text)
    assert time.process_time() - begun < 0.5  # (a tenth of that where nothing else runs)


def test_more_matches_than_any_honest_text_has_are_believed_together() -> None:
    text = "".join(f"password=zebra{number}! " for number in range(4 * CAREFULLY))
    found = SECRETS.find(text)
    assert len(found) < 2 * CAREFULLY
    assert sum(span.end - span.start for span in found[CAREFULLY:]) > 0.9 * (len(text) - found[CAREFULLY].start)
