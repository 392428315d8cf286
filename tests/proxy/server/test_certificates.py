from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.server.certificates import names_in, names_of

XFCC = "x-forwarded-client-cert"


def test_alternative_names_come_first_and_the_subject_reads_as_rfc_4514_writes_it() -> None:
    shown = {
        "subject": ((("countryName", "DE"),), (("organizationName", "Acme, Inc."),), (("commonName", "bob"),)),
        "subjectAltName": (("DNS", "bob.internal"), ("URI", "spiffe://acme/bob"), ("IP Address", "10.0.0.1")),
    }
    assert names_of(shown) == ("bob.internal", "spiffe://acme/bob", "CN=bob,O=Acme\\, Inc.,C=DE")
    assert names_of({}) == names_of(None) == ()


def test_the_last_element_is_what_the_peer_itself_has_verified() -> None:
    value = 'By=a;URI=spiffe://first,By=b;Hash=c;Subject="CN=bob,O=\\"A\\"; B";URI=spiffe://last;DNS=x;DNS=y'
    assert names_in(value, XFCC) == ('CN=bob,O="A"; B', "spiffe://last", "x", "y")


@given(st.text(max_size=200))
def test_whatever_is_sent_names_are_found_or_not_and_nothing_breaks(value: str) -> None:
    assert all(isinstance(name, str) for name in names_in(value, XFCC))
    assert names_in(value, "x-weir-caller") == ((value.strip(),) if value.strip() else ())


@given(st.text(alphabet='CN=bob,;"\\O x', max_size=60))
def test_what_stands_in_quotes_never_becomes_a_name_of_its_own(inner: str) -> None:
    quoted = inner.replace("\\", "\\\\").replace('"', '\\"')
    assert names_in(f'By=a;Subject="{quoted}"', XFCC)[:1] in (((inner,)), ())
    assert len(names_in(f'By=a;Subject="{quoted}"', XFCC)) <= 1
