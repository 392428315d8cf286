"""Rules are data: what is wrong with one is said at start, in words that say what to do."""

from __future__ import annotations

import pytest

from proxy.detection import secretrules
from proxy.detection.secrets import Secrets
from proxy.errors import ConfigError

OWN = """
stop = ["sample"]
[[rule]]
id = "badge"
pattern = 'BDG-(?P<secret>[0-9]{6})'
keywords = ["BDG-"]
"""


def test_own_rules_stand_beside_the_packaged_ones() -> None:
    secrets = Secrets.packaged(*secretrules.read(OWN))
    assert [one.rule for one in secrets.found("badge BDG-123456")] == ["badge"]
    assert {"github", "badge"} <= {rule.id for rule in secrets.rules}


def test_an_own_rule_replaces_the_packaged_one_of_its_name() -> None:
    (rule,) = secretrules.read(OWN.replace("badge", "github"))
    secrets = Secrets.packaged(rule)
    assert [one.id for one in secrets.rules].count("github") == 1
    assert secrets.find("ghp_" + "aB3" * 12) == []


def test_packaged_rules_have_names_of_their_own_and_something_to_look_for() -> None:
    rules = secretrules.packaged()
    assert len({rule.id for rule in rules}) == len(rules) > 100
    assert all(rule.openers for rule in rules)


def test_the_patterns_of_packaged_rules_compile() -> None:
    assert secretrules.read(secretrules.sheet(secretrules.PACKAGED)) == secretrules.packaged()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "is not TOML"),
        ("[[rule]]\nid='a'", "needs an id and a pattern"),
        ("[[rule]]\nid='a'\npattern='a'", "needs keywords or an anchor"),
        ("[[rule]]\nid='a'\npattern='a(?=b)'\nkeywords=['a']", "not RE2 syntax"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a b']", "has no blanks"),
        ("[[rule]]\nid='a'\npattern='a'\nanchor='a\\s'", "needs keywords beside it"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\ncheck='luck'", "check is one of"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\nscope='page'", "scope is one of"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\nscore=2", "between 0 and 1"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\nentropy='much'", "wrong kind"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\nregex='b'", "regex is not known"),
        ("[[rule]]\nid='a'\npattern='a'\nkeywords=['a']\n" * 2, "two rules are called a"),
    ],
)
def test_a_wrong_rule_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        secretrules.read(text, "mine.toml")


def test_a_file_that_the_installation_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config/nothing\.toml"):
        secretrules.sheet("nothing.toml")
