from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from proxy.errors import BadRequest, MalformedBody, UnknownModel, UnknownPath, WeirError
from proxy.exchange import Target
from proxy.live import Alias, Identity, Limits, Snapshot, Streams, Upstream
from proxy.ports import Headers
from proxy.upstream import endpoint


def snapshot(*upstreams: Upstream, **aliases: Alias) -> Snapshot:
    named = {upstream.name: upstream for upstream in upstreams}
    return Snapshot(1, named, aliases, (), {}, Identity(), Limits(), Streams())


def up(name: str, *models: str, dialects: tuple[str, ...] = ()) -> Upstream:
    return Upstream(name, f"https://{name}.example", models=models or ("*",), dialects=dialects)


def found(where: Snapshot, model: str, dialect: str = "chat") -> list[tuple[str, str]]:
    return [(target.upstream, target.model) for target in endpoint.resolve(where, dialect, model)]


class TestResolving:
    where = snapshot(
        up("all"),
        up("prefix", "gpt-*"),
        up("longer", "gpt-5-*"),
        up("exact", "gpt-5-mini", "o3"),
        up("twin", "o3"),
        up("claude", "claude-*", dialects=("messages",)),
        fast=Alias("gpt-5-mini", fallbacks=("o3", "claude-x", "all/zeta")),
        there=Alias("anything", upstream="prefix"),
        foreign=Alias("claude-x", upstream="claude"),
    )

    @pytest.mark.parametrize(
        ("model", "targets"),
        [
            ("gpt-5-mini", [("exact", "gpt-5-mini")]),
            ("gpt-5-nano", [("longer", "gpt-5-nano")]),
            ("gpt-4o", [("prefix", "gpt-4o")]),
            ("llama", [("all", "llama")]),
            ("o3", [("exact", "o3"), ("twin", "o3")]),
            ("there", [("prefix", "anything")]),
            ("prefix/gpt-4o", [("prefix", "gpt-4o")]),
            ("all/what/ever", [("all", "what/ever")]),
            ("meta/llama", [("all", "meta/llama")]),
            ("prefix/llama", [("all", "prefix/llama")]),
            ("fast", [("exact", "gpt-5-mini"), ("exact", "o3"), ("all", "claude-x"), ("all", "zeta")]),
        ],
    )
    def test_prefers_alias_then_exact_then_prefix_then_named_then_all(
        self, model: str, targets: list[tuple[str, str]]
    ) -> None:
        assert found(self.where, model) == targets

    def test_never_leaves_the_dialect(self) -> None:
        one = snapshot(up("chat", dialects=("chat",)), up("claude", "claude-*", dialects=("messages",)),
                       a=Alias("gpt", upstream="chat", fallbacks=("claude-x",)))  # fmt: skip
        assert found(one, "claude-x", "messages") == [("claude", "claude-x")]
        assert found(one, "a") == [("chat", "gpt"), ("chat", "claude-x")]
        for model in ("gpt", "chat/gpt", "a"):
            with pytest.raises(UnknownModel):
                endpoint.resolve(one, "messages", model)

    def test_a_pattern_with_a_slash_of_its_own_comes_before_the_named_form(self) -> None:
        one = snapshot(up("router", "openai/*"), up("openai", "gpt-*"))
        assert found(one, "openai/gpt-4o") == [("router", "openai/gpt-4o")]

    def test_does_not_name_a_target_twice(self) -> None:
        one = snapshot(up("a", "m"), x=Alias("m", fallbacks=("m", "a/m")))
        assert found(one, "x") == [("a", "m")]

    def test_an_unknown_model_is_told_the_known_and_the_nearest(self) -> None:
        one = snapshot(up("a", "gpt-4o", "o3"), fast=Alias("o3"))
        with pytest.raises(UnknownModel) as caught:
            endpoint.resolve(one, "chat", "gpt-4p")
        assert str(caught.value) == (
            "No upstream serves the model 'gpt-4p' here. Did you mean 'gpt-4o'? Known: fast, gpt-4o, o3."
        )
        assert (caught.value.status, caught.value.param) == (404, "model")

    def test_an_unknown_model_gets_a_bounded_answer(self) -> None:
        many = snapshot(up("a", *(f"model-{number}" for number in range(3000))))
        with pytest.raises(UnknownModel) as caught:
            endpoint.resolve(many, "chat", "x" * 100_000)
        assert "and 2980 more" in str(caught.value)
        assert len(str(caught.value)) < 1000

    def test_a_call_without_a_model_goes_to_who_serves_all_and_is_else_told_what_is_missing(self) -> None:
        picky, all_ = up("picky", "gpt-*"), up("all", "*")
        both = snapshot(picky, all_)
        assert endpoint.resolve(both, "chat", "") == [Target("all", "")]
        with pytest.raises(MalformedBody, match="missing"):
            endpoint.resolve(snapshot(picky), "chat", "")

    def test_serves_is_what_the_patterns_say(self) -> None:
        one = up("a", "gpt-*", "o3")
        assert [endpoint.serves(one, model) for model in ("gpt-", "gpt-4", "o3", "o3x", "gp")] == [
            True, True, True, False, False,
        ]  # fmt: skip


class TestRelays:
    where = snapshot(up("all"), up("claude", dialects=("messages",)), up("gpt", dialects=("chat", "responses")))

    @pytest.mark.parametrize(
        ("path", "headers", "name"),
        [
            ("/v1/files", [], "gpt"),
            ("/v1/files", [("Anthropic-Version", "2023-06-01")], "claude"),
            ("/v1/messages/count_tokens", [], "claude"),
        ],
    )
    def test_go_where_their_dialect_is_spoken_by_name(self, path: str, headers: Headers, name: str) -> None:
        assert endpoint.resolve_relay(self.where, path, headers) == Target(name, "")

    def test_go_to_an_upstream_for_all_where_none_names_the_dialect(self) -> None:
        one = snapshot(up("claude", dialects=("messages",)), up("all"))
        assert endpoint.resolve_relay(one, "/v1/files", []) == Target("all", "")
        with pytest.raises(UnknownPath):
            endpoint.resolve_relay(snapshot(up("claude", dialects=("messages",))), "/v1/files", [])


def at(url: str, path: str, query: str = "", model: str = "m", **added: str) -> str:
    return endpoint.target(Upstream("u", url, query=tuple(added.items())), model, path, query)


class TestTheTarget:
    @pytest.mark.parametrize(
        ("url", "path", "whole"),
        [
            ("https://api.openai.com", "/v1/chat/completions", "/v1/chat/completions"),
            ("https://api.openai.com/", "/v1/chat/completions", "/v1/chat/completions"),
            ("https://api.openai.com/v1", "/v1/models", "/v1/models"),
            ("https://x.example/openai/v1/", "/v1/responses/r_1", "/openai/v1/responses/r_1"),
            ("https://a.azure.com/openai/deployments/{model}", "/v1/embeddings", "/openai/deployments/m/embeddings"),
            ("http://h", "/v1/models/org%2Fname", "/v1/models/org%2Fname"),
            ("http://h", "/v1/models/ft:gpt-4o:org::id", "/v1/models/ft:gpt-4o:org::id"),
            ("http://h", "/v1/a/.hidden/b...c/", "/v1/a/.hidden/b...c/"),
            ("http://h", "/v1/%E2%82%AC/%252e%252e/x", "/v1/%E2%82%AC/%252e%252e/x"),
        ],
    )
    def test_stands_below_the_url_as_it_came(self, url: str, path: str, whole: str) -> None:
        assert at(url, path) == whole

    def test_takes_the_model_into_the_url_without_letting_it_leave_its_place(self) -> None:
        url = "http://h/d/{model}"
        assert at(url, "/v1/x", model="a/b c?d#é") == "/d/a%2Fb%20c%3Fd%23%C3%A9/x"
        for model in ("..", ".", "", "../x", "a/../../b"):
            with pytest.raises(UnknownPath):
                at(url, "/v1/x", model=model)

    def test_keeps_the_callers_query_and_adds_what_the_upstream_needs(self) -> None:
        assert at("http://h", "/v1/x", "a=%20&b&a=1", **{"api-version": "2024-10-21", "k": "a b&c"}) == (
            "/v1/x?a=%20&b&a=1&api-version=2024-10-21&k=a%20b%26c"
        )
        assert at("http://h", "/v1/x", "", **{"api-version": "1"}) == "/v1/x?api-version=1"
        assert at("http://h", "/v1/x", "api-version=2", **{"api-version": "1"}) == "/v1/x?api-version=2"

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/../admin", "/v1/x/..", "/v1/./x", "/v1/.", "/v1/%2e%2e/x", "/v1/%2E./x", "/v1/.%2e", "/v1//x",
            "/v1/x//", "/v1/..%2fx", "/v1/a%2f..%2f..%2fx", "/v1/..%5cx", "/v1/a\\b", "/v1/a%5Cb", "/v1/..;/x",
            "/v1/%2e%2e;a=b/x", "/v1/%2F/x", "/v2/x", "/", "/v1", "/v1x", "//evil.example/v1/x",
        ],
    )  # fmt: skip
    def test_that_could_be_read_in_two_ways_is_not_there(self, path: str) -> None:
        with pytest.raises(UnknownPath):
            at("http://h", path)

    @pytest.mark.parametrize(
        "path",
        ["http://evil.example/v1/x", "v1/x", "*", "", "/v1/a b", "/v1/a\r\nx", "/v1/\x00", "/v1/é", "/v1/a#b",
         "/v1/a?b", "/v1/%0d%0a", "/v1/%00", "/v1/%7F"],
    )  # fmt: skip
    def test_that_is_no_path_is_a_bad_request(self, path: str) -> None:
        with pytest.raises(BadRequest):
            at("http://h", path)

    @pytest.mark.parametrize("query", ["a b", "a\r\nb", "a#b", "é", "\x7f"])
    def test_with_a_query_that_cannot_be_sent_is_a_bad_request(self, query: str) -> None:
        with pytest.raises(BadRequest):
            at("http://h", "/v1/x", query)

    @given(st.text(st.characters(max_codepoint=0x2FF) | st.sampled_from("./%2eE5cC\\;?#"), max_size=30))
    def test_is_either_refused_or_means_the_same_to_whoever_normalises_it(self, rest: str) -> None:
        try:
            whole = at("http://h", "/v1/" + rest)
        except WeirError:
            return
        assert whole == "/v1/" + rest
        url = URL("http://h" + whole, encoded=True)
        assert url.raw_path_qs == whole
        normalised = URL("http://h" + whole).path
        assert normalised.startswith("/v1/")
        assert ".." not in normalised.split("/")


CALLER: Headers = [
    ("Host", "localhost:8080"), ("Authorization", "Bearer sk-theirs"), ("User-Agent", "OpenAI/Python 2"),
    ("Accept-Encoding", "gzip, br"), ("Content-Length", "7"), ("Content-Encoding", "gzip"),
    ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5"), ("TE", "trailers"),
    ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("Proxy-Authorization", "Basic x"),
    ("Expect", "100-continue"), ("x-weir-agent", "a"), ("X-WEIR-Debug", "1"), ("x-a", "1"), ("X-Request-Id", "r"),
    ("x-a", "2"), ("traceparent", "00-1"), ("tracestate", "t"), ("baggage", "b"), ("x-stainless-lang", "python"),
    ("OpenAI-Organization", "o"), ("anthropic-beta", "b"), ("x-api-key", "k1"), ("api-key", "k2"),
]  # fmt: skip
KEPT: Headers = [
    ("User-Agent", "OpenAI/Python 2"), ("x-a", "1"), ("X-Request-Id", "r"), ("x-a", "2"), ("traceparent", "00-1"),
    ("tracestate", "t"), ("baggage", "b"), ("x-stainless-lang", "python"), ("OpenAI-Organization", "o"),
    ("anthropic-beta", "b"),
]  # fmt: skip


def sent(
    inbound: Headers,
    upstream: Upstream | None = None,
    *,
    identity: bool = True,
    ours: bool = False,
    inflated: bool = False,
) -> Headers:
    return endpoint.headers(
        inbound, upstream or up("u"), body_length=9, identity=identity, credential_is_ours=ours, inflated=inflated
    )


class TestHeadersOnTheWayOut:
    def test_lose_what_belongs_to_this_hop_and_to_weir_and_keep_order_and_case(self) -> None:
        with_key = Upstream("u", "http://h", key="sk-ours")
        assert sent(CALLER, with_key, inflated=True) == [
            *KEPT, ("accept-encoding", "identity"), ("authorization", "Bearer sk-ours"), ("content-length", "9"),
        ]  # fmt: skip

    def test_of_a_relay_keep_the_callers_codings(self) -> None:
        out = sent(CALLER, identity=False)
        assert ("Accept-Encoding", "gzip, br") in out and ("Content-Encoding", "gzip") in out
        assert ("accept-encoding", "identity") not in out

    @pytest.mark.parametrize(
        ("auth", "pair"),
        [
            ("bearer", ("authorization", "Bearer sk-ours")),
            ("x-api-key", ("x-api-key", "sk-ours")),
            ("api-key", ("api-key", "sk-ours")),
        ],
    )
    def test_carry_the_upstreams_key_in_its_style_and_no_other(self, auth: str, pair: tuple[str, str]) -> None:
        out = sent(CALLER, Upstream("u", "http://h", auth=auth, key="sk-ours"))  # type: ignore[arg-type]
        assert [one for one in out if one[0].lower() in endpoint.CREDENTIALS] == [pair]

    def test_carry_the_callers_own_credential_where_the_upstream_has_no_key(self) -> None:
        mine = [one for one in sent(CALLER) if one[0].lower() in endpoint.CREDENTIALS]
        assert mine == [("Authorization", "Bearer sk-theirs"), ("x-api-key", "k1"), ("api-key", "k2")]

    def test_never_carry_a_credential_of_weirs(self) -> None:
        assert not [one for one in sent(CALLER, ours=True) if one[0].lower() in endpoint.CREDENTIALS]
        assert not [
            one
            for one in sent(CALLER, Upstream("u", "http://h", auth="none"))
            if one[0].lower() in endpoint.CREDENTIALS
        ]

    def test_take_the_upstreams_own_over_the_callers(self) -> None:
        out = sent([("X-Team", "caller"), ("x-b", "1")], Upstream("u", "http://h", headers=(("x-team", "ops"),)))
        assert out == [("x-b", "1"), ("accept-encoding", "identity"), ("x-team", "ops"), ("content-length", "9")]

    def test_carry_cookies_but_none_of_weirs(self) -> None:
        assert sent([("Cookie", "a=1; weir_session=s; b=2")])[0] == ("Cookie", "a=1; b=2")
        assert sent([("cookie", "__Host-weir=s")])[0][0] == "accept-encoding"

    def test_have_no_length_where_none_is_known(self) -> None:
        out = endpoint.headers([], up("u"), body_length=None, identity=False, credential_is_ours=False)
        assert out == []


ANSWER: Headers = [
    ("X-Request-Id", "r"), ("openai-processing-ms", "5"), ("x-ratelimit-remaining-tokens", "1"), ("Retry-After", "3"),
    ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/event-stream"), ("Content-Length", "5"),
    ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("Connection", "close, X-Hop"), ("X-Hop", "1"),
    ("Keep-Alive", "5"), ("alt-svc", "h3"), ("x-weir-cache", "HIT"), ("Proxy-Authenticate", "x"), ("Digest", "d"),
]  # fmt: skip


class TestHeadersOnTheWayBack:
    def test_keep_what_is_the_providers_to_say(self) -> None:
        assert endpoint.answer_headers(ANSWER, changed=False) == [*ANSWER[:9], ("Digest", "d")]

    def test_say_nothing_of_bytes_that_were_changed(self) -> None:
        assert endpoint.answer_headers(ANSWER, changed=True) == ANSWER[:7]
