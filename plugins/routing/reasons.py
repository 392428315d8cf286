"""Why a call stays with the model it asked for: told to who asks what was done with it, found out only then."""

from __future__ import annotations

from plugins.routing.capabilities import has_others, modest, needs
from plugins.routing.choice import Decision
from plugins.routing.plans import Plan
from proxy.exchange import PINNED, Exchange


def reason(exchange: Exchange, found: Plan | None, decision: Decision | None, *, pinned: bool) -> str:
    """Of a call whose target routing left as it was. `decision`: what was made of it, if anything was."""
    request = exchange.request
    if found is None:
        return f"no rule and no pool is for calls that ask for {request.model or 'no model'}"
    if pinned:
        return _pinned(exchange)
    if decision is not None:
        likely = decision.account.likely
        return f"{decision.why} ({likely:.0%})" if decision.candidate is not None else decision.why
    if not found.candidates:
        return "no rule fits, and no model of a pool may serve it"
    if not modest(exchange, found.context_tokens, walks=True):
        if has_others(exchange):
            return "it has parts that no model is known to take"
        wanted = needs(exchange)
        if all(one.able.lacks(wanted) for one in found.candidates):
            return f"no model of {found.pool} is able to do what it needs"
    return "what another model has signed goes back to it"


def _pinned(exchange: Exchange) -> str:
    chosen_by = exchange.notes.read(PINNED)
    if chosen_by is not None:
        return f"{chosen_by} has chosen its model"
    if any(name.lower() == "x-weir-route" for name, _ in exchange.request.headers):
        return "its caller said x-weir-route: off"
    return "it belongs to what a provider keeps"
