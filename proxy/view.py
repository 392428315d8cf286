"""A call as a shadow hook sees it: a copy, and what is recorded of it as what would have been done."""

from __future__ import annotations

from dataclasses import replace

from proxy.exchange import LESSONS, MASK, Exchange
from proxy.findings import WHOLE

REASONS = ("bypass ", "rule out, ", "stay: ")
"""How steps begin that say why a plugin does nothing: in shadow it would do nothing for the same reason."""


def of(exchange: Exchange) -> Exchange:
    """A copy on which hooks may do what they like."""
    view = Exchange(
        exchange.id,
        exchange.caller,
        exchange.request.view(),
        at_s=exchange.at_s,
        start=exchange.timeline.start,
        snapshot=exchange.snapshot,
    )
    view.target = exchange.target
    view.conversation = exchange.conversation
    view.variant = exchange.variant
    view.explained = exchange.explained
    view.notes.update(exchange.notes)
    view.state = exchange.state
    view.findings = list(exchange.findings)
    if exchange.response is not None:
        view.response = replace(exchange.response, said=[segment.copy() for segment in exchange.response.segments])
    return view


def note(exchange: Exchange, view: Exchange, plugin: str, hook: str, result: object) -> None:
    """Records as `would` what a hook has done to the view, or answered."""
    if result is not None:
        exchange.step(plugin, hook, "would answer")
    if hook != "request":
        return
    before = {id(segment.slot): segment.text for segment in exchange.request.segments}
    edited = sum(1 for segment in view.request.segments if before.get(id(segment.slot)) != segment.text)
    if edited:
        exchange.step(plugin, hook, f"would edit {edited}")
    changed = sorted(name for name, value in view.request.edits.items() if exchange.request.edits.get(name) != value)
    if changed:
        exchange.step(plugin, hook, f"would set {' '.join(changed)}")
    if len(view.request.inserts) > len(exchange.request.inserts):
        exchange.step(plugin, hook, f"would insert {len(view.request.inserts) - len(exchange.request.inserts)}")
    if view.target is not None and view.target != exchange.target:
        exchange.step(plugin, hook, _moved(view, f"{view.target.upstream}/{view.target.model}"))
    if view.variant != exchange.variant:
        exchange.step(plugin, hook, f"would assign {view.variant}")
    for step in view.steps:
        if step.what.startswith(REASONS):
            exchange.step(plugin, hook, f"would {step.what}")


def _moved(view: Exchange, where: str) -> str:
    """With the reason, where the plugin gave one."""
    told = f"moved to {where}"
    reason = next((step.what.removeprefix(told) for step in view.steps if step.what.startswith(told)), "")
    return f"would move to {where}{reason}"


def carry_over(exchange: Exchange, view: Exchange) -> None:
    """What a shadow hook found and would have spared, where nothing before it spared (or would have) the whole call.
    What is kept of a call is masked, even where the call is not."""
    if MASK in view.notes:
        exchange.notes[MASK] = view.notes[MASK]
    if LESSONS in view.notes:
        exchange.notes[LESSONS] = view.notes[LESSONS]
    if view.savings and not any(saving.kind in WHOLE for saving in exchange.savings):
        exchange.savings.extend(replace(saving, mode="shadow") for saving in view.savings)
    exchange.findings.extend(
        replace(finding, action=f"would {finding.action}") for finding in view.findings[len(exchange.findings) :]
    )
