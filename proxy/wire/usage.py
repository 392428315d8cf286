"""Usage as OpenAI-like providers report it, made one: what was cached is neither counted twice nor lost."""

from __future__ import annotations

from proxy.exchange import Usage
from proxy.ports import Json
from proxy.wire.dialect import whole

_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_READ = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens", "num_cached_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def normalised(doc: dict[str, Json]) -> Usage | None:
    """The usage in an answer or chunk of chat, completions or embeddings; None where it has none."""
    usage = doc.get("usage")
    if type(usage) is not dict:
        groq = doc.get("x_groq")
        usage = groq.get("usage") if type(groq) is dict else None
    if type(usage) is dict:
        return _from_usage(usage, _inner(doc, "timings"))
    timings = _inner(doc, "timings")
    if "predicted_n" not in timings:
        return None
    # llama.cpp says this at the end of a stream even to those who did not ask for usage; prompt_n is without the cache.
    read, output = whole(timings.get("cache_n")), whole(timings.get("predicted_n"))
    return Usage(input=whole(timings.get("prompt_n")), cache_read=read, output=output)


def _from_usage(usage: dict[str, Json], timings: dict[str, Json]) -> Usage:
    prompt, output = whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens"))
    if not timings and usage.get("total_tokens") == prompt + output and usage.keys() <= _PLAIN:
        return Usage(prompt, 0, 0, output)
    asked, given = _inner(usage, "prompt_tokens_details"), _inner(usage, "completion_tokens_details")
    read = _first((asked, usage), _READ) or whole(timings.get("cache_n"))
    written = _first((asked, usage), _WRITTEN)
    read = min(read, prompt)
    written = min(written, prompt - read)
    reasoning = whole(given.get("reasoning_tokens")) or whole(usage.get("reasoning_tokens"))
    beside = whole(usage.get("total_tokens")) - prompt - output
    if output and beside > 0 and reasoning in (0, beside):
        # Some count thinking beside the completion, and it is billed as output all the same.
        output, reasoning = output + beside, beside
    fresh = prompt - read - written
    return Usage(
        input=fresh,
        cache_read=read,
        cache_write=written,
        output=output,
        reasoning=min(reasoning, output),
        audio_input=min(whole(asked.get("audio_tokens")), fresh),
        audio_output=min(whole(given.get("audio_tokens")), output),
    )


def reported(usage: Usage) -> dict[str, Json]:
    """The same in OpenAI's words."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    asked = {"cached_tokens": usage.cache_read, "audio_tokens": usage.audio_input}
    if usage.cache_write:
        asked["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": asked,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output},
    }


def _inner(doc: dict[str, Json], name: str) -> dict[str, Json]:
    value = doc.get(name)
    return value if type(value) is dict else {}


def _first(places: tuple[dict[str, Json], ...], names: tuple[str, ...]) -> int:
    for place in places:
        for name in names:
            if name in place and (count := whole(place[name])):
                return count
    return 0
