"""Calls and answers of many kinds, for telling the short way from the regular one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from proxy.live import Agent, CallerKey, Entry, Identity, Limits, Streams, Timeouts
from tests.scripted import OK_BODY, Script, answer, chunked

HEADERS = (b"Host: 127.0.0.1", b"Authorization: Bearer sk-canary", b"Content-Type: application/json", b"X-Case: Kept")
CHAT, MESSAGES, RESPONSES = b"/v1/chat/completions", b"/v1/messages", b"/v1/responses"
TALK = [{"role": "user", "content": "Say hello."}]


def doc(model: str = "m", **more: Any) -> bytes:
    return orjson.dumps({"model": model, "messages": TALK, **more})


def call(body: bytes = b"", path: bytes = CHAT, headers: Sequence[bytes] = HEADERS, length: bool = True) -> bytes:
    body = body or doc()
    lines = [b"POST %b HTTP/1.1" % path, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass
class Case:
    """Calls of one connection, what the provider says to them in turn, and where they go through."""

    calls: Sequence[bytes] = ()
    """Behind two that make head, answer and connection known; and the last one before comes again at the end."""
    scripts: Sequence[Script] = ()
    """What the provider says to them, and to their repetitions."""
    first: bytes = call()
    chain: Sequence[Entry] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    second: Sequence[Script] = ()
    """What the other provider says."""
    usual: Script = (answer(),)
    alone: bool = False
    """There is one upstream and no alias."""


LONG = OK_BODY.replace(b"hello", b"h" * 100_000)
EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
ERROR = b'{"error":{"message":"no","type":"t","code":"c","param":null}}'
EMBEDDED = (
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"model":"e","usage":{"p'
    b'rompt_tokens":4,"total_tokens":4}}'
)
COMPLETED = (
    b'{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"yes","fin'
    b'ish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}'
)
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}'
    b'],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":4,"output_tokens":2}}'
)

RESPONSE = (
    b'{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"msg_1","s'
    b'tatus":"completed","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":'
    b'{"input_tokens":4,"output_tokens":2,"total_tokens":6}}'
)


def respond(model: str = "m", **more: Any) -> bytes:
    return call(orjson.dumps({"model": model, "input": "hi", **more}), RESPONSES)


def responding(stored: bytes = b"") -> Script:
    return (answer(RESPONSE.replace(b'"status"', b'"store":%b,"status"' % stored, 1) if stored else RESPONSE),)


BUILT_ON: dict[str, dict[str, Any]] = {
    "another": {"previous_response_id": "resp_0"},
    "their own": {"previous_response_id": "resp_1"},
    "a conversation": {"conversation": "conv_1"},
    "a conversation's id": {"conversation": {"id": "conv_1"}},
}
NOBODY_SAYS: dict[str, Any] = {"previous_response_id": None, "conversation": None, "background": False}
STORED = {
    "nothing said": Case(first=respond(), usual=responding()),
    "store": Case(first=respond(store=True), usual=responding(b"true")),
    "do not store": Case(first=respond(store=False), usual=responding(b"false")),
    "do not store, and no word of it": Case(first=respond(store=False), usual=responding()),
    "do not store, and it does": Case(first=respond(store=False), usual=responding(b"true")),
    "names that name nothing": Case(first=respond(**NOBODY_SAYS), usual=responding()),
    "a conversation without a name": Case(first=respond(conversation={}), usual=responding()),
    "no id": Case(first=respond(), usual=(answer(RESPONSE.replace(b'"resp_1"', b"null")),)),
    "items": Case(
        first=respond(input=[{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]), usual=responding()
    ),
    "a key of weir's": Case(
        first=call(b'{"model":"m","input":"hi"}', RESPONSES, (HEADERS[0], b"Authorization: Bearer weir-key")),
        usual=responding(),
        changes={
            "identity": Identity(keys=(CallerKey("k", hashlib.sha256(b"weir-key").hexdigest(), tenant="t1"),)),
            "upstream": {"key": "sk-theirs"},
        },
    ),
    "not an answer": Case([respond(n=1)], [(answer(b"{}"),)], first=respond(), usual=responding()),
    "500, and a fallback": Case(
        [respond(n=1)], [(answer(ERROR, status=b"500 Oh"),)], first=respond(), usual=responding(), second=[responding()]
    ),
}
STORED |= {
    f"{name}, one upstream": replace(STORED[name], alone=True)
    for name in ("nothing said", "do not store", "500, and a fallback")
}
WAITING = ("nothing said", "do not store", "500, and a fallback", "a key of weir's")

SURFACES = {
    "responses": Case(first=respond(), usual=responding()),
    "responses, to one upstream": Case(first=respond(), usual=responding(), alone=True),
    "chat": Case(calls=[call(doc(temperature=0, user="u1")), call(doc(tools=[]))]),
    "completions": Case(
        first=call(b'{"model":"m","prompt":"Say yes"}', b"/v1/completions"), usual=(answer(COMPLETED),)
    ),
    "tokens": Case(first=call(b'{"model":"m","prompt":[1,2,3]}', b"/v1/completions"), usual=(answer(COMPLETED),)),
    "embeddings": Case(first=call(b'{"model":"m","input":["a","b"]}', b"/v1/embeddings"), usual=(answer(EMBEDDED),)),
    "messages": Case(first=call(doc(max_tokens=9), MESSAGES), usual=(answer(MESSAGE),)),
    "an agent's path": Case(first=call(path=b"/agents/researcher/v1/chat/completions")),
    "a query": Case(first=call(path=b"/v1/chat/completions?api-version=1")),
    "headers of Weir's own": Case(
        first=call(
            headers=(*HEADERS, b"X-Weir-Agent: a", b"X-Weir-User: u", b"X-Weir-Session: s", b"X-Weir-Priority: 3")
        )
    ),
    "an unusual header": Case(
        first=call(headers=(*HEADERS, b"X-Odd: \xc3\xa9", b"Cookie: a=b; weir_x=1", b"X-Odd: 2"))
    ),
    "a model with an odd name": Case(first=call(doc("m/\u00e9 %"))),
    "no usage": Case(usual=(answer(OK_BODY.partition(b',"usage"')[0] + b"}"),)),
    "a number that is too large": Case(first=call(doc(conversation=0).replace(b":0", b":%d" % 10**30))),
    "a user in the body": Case(first=call(doc(metadata={"user_id": "u7"}))),
}


def saying(text: str, **more: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more})


PAD = 'So spricht das Wehr: \u00e9, "\n. ' * 12_000
BIG = {
    "a long text": Case([call(saying(PAD[:300_000])), call(saying(PAD))]),
    "a long text, written loosely": Case([call(json.dumps(orjson.loads(saying(PAD))).encode())]),
    "many values": Case([call(saying("x", more=list(range(60_000))))]),
    "many values, written loosely": Case([call(json.dumps(orjson.loads(saying("x", more=[1] * 99_999))).encode())]),
    "many brackets": Case([call(saying("x", more=[[] for _ in range(99_999)]))]),
    "a key twice": Case([call(saying(PAD)[:-1] + b',"model":"m"}')]),
    "broken": Case([call(saying(PAD)[:-1] + b",}")]),
    "no object": Case([call(b"[" + saying(PAD) + b"]")]),
    "of the wrong type": Case([call(saying(PAD, messages=7))]),
    "a number that is too large": Case([call(saying(PAD)[:-1] + b',"seed":%d}' % 10**30)]),
    "an alias": Case([call(saying(PAD, model="alias"))]),
    "a stream": Case([call(saying(PAD, stream=True))]),
    "an answer to one": Case([call(saying(PAD))] * 2, [(answer(ERROR, status=b"500 Oh"),), ("cut",)]),
    "another surface": Case(
        [call(orjson.dumps({"model": "m", "input": PAD}), RESPONSES)], first=respond(), usual=responding()
    ),
    "longer than bodies may be": Case([call(saying(PAD))], changes={"limits": Limits(body_bytes=300_000)}),
    "longer than any on the short way": Case([call(saying(PAD * 4))]),
}
SEEN = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]
NOT_SHORT = {
    "an alias": Case(first=call(doc("alias"))),
    "a stream that is none": Case(first=call(doc(stream="yes"))),
    "a deadline": Case(first=call(headers=(*HEADERS, b"X-Weir-Deadline-Ms: 5000"))),
    "a look inside": Case(first=call(headers=(*HEADERS, b"X-Weir-Debug: 1"))),
    "a content coding": Case(first=call(headers=(*HEADERS, b"Content-Encoding: identity"))),
    "a model that is not known": Case(first=call(doc("k")), changes={"upstream": {"models": ("m",)}}),
    "no model": Case(first=call(b'{"messages":[]}'), changes={"upstream": {"models": ("m",)}}),
    "two credentials": Case(first=call(headers=(*HEADERS, b"X-Api-Key: other"))),
    "a key that is not known": Case(first=call(headers=(HEADERS[0], b"Authorization: Bearer weir-no"))),
    "a bad agent": Case(first=call(path=b"/agents/%20/v1/chat/completions")),
    "no json": Case(first=call(b"{")),
    "no object": Case(first=call(b"[]")),
    "an empty body": Case(first=b"\r\n".join((b"POST %b HTTP/1.1" % CHAT, *HEADERS, b"Content-Length: 0", b"", b""))),
    "a model that is no name": Case(first=call(doc("m\n"))),
    "an image": Case(first=call(orjson.dumps({"model": "m", "messages": SEEN}))),
    "an image where none may be": Case(
        first=call(orjson.dumps({"model": "m", "messages": SEEN})),
        changes={"uninspected": "refuse"},
    ),
    "content that is kept": Case(changes={"content": "full"}),
    "an agent whose content is kept": Case(
        first=call(path=b"/agents/a/v1/chat/completions"), changes={"agents": {"a": Agent(content="full")}}
    ),
    "an audit that must be durable": Case(changes={"audit_strict": True}),
    "a body that is too large": Case(first=call(doc(pad="x" * 3000)), changes={"limits": Limits(body_bytes=2000)}),
    "a relayed path": Case(first=call(path=b"/v1/moderations")),
    "responses to an alias": Case(first=respond("alias"), usual=responding()),
    **{
        f"responses that build on {what}{' of one upstream' * alone}": Case(
            first=respond(**more), usual=responding(), alone=alone
        )
        for alone in (False, True)
        for what, more in BUILT_ON.items()
    },
    "responses beside": Case(first=respond(background=True), usual=responding()),
    "responses beside, of an odd kind": Case(first=respond(background="yes"), usual=responding()),
    "a stream whose usage is not asked for": Case(
        first=call(doc(stream=True)), usual=(chunked(EVENTS, b"Content-Type: text/event-stream"),)
    ),
    "a stream that is to be answered early": Case(
        first=call(doc(stream=True, stream_options={"include_usage": True})),
        changes={"streams": Streams(early_answer_s=0.3)},
    ),
    "responses about an image": Case(
        first=respond(input=[{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]),
        usual=responding(),
        changes={"uninspected": "refuse"},
    ),
    "responses of an odd kind": Case(first=respond(previous_response_id=7), usual=responding()),
}


ONE, TWO = call(doc(n=1)), call(doc(n=2))
FAST = {"upstream": {"timeouts": Timeouts(connect_s=5, first_byte_s=0.05, idle_s=0.05)}}
ANSWERS: dict[str, Case] = {
    "in two reads": Case([ONE], [(answer()[:200], answer()[200:])]),
    "a read for each byte of the head": Case([ONE], [(*(answer()[at : at + 1] for at in range(60)), answer()[60:])]),
    "chunked": Case([ONE, TWO], [(chunked(),), (chunked()[:150], chunked()[150:])]),
    "to the end of the connection": Case(
        [ONE], [(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + OK_BODY, "end")]
    ),
    "of http 1.0": Case([ONE], [(answer().replace(b"HTTP/1.1", b"HTTP/1.0"), "end")]),
    "and no more": Case([ONE], [(answer(OK_BODY, b"Content-Type: application/json", b"Connection: close"), "end")]),
    "with a connection that lists": Case([ONE], [(answer(OK_BODY, b"X-Hop: 1", b"Connection: x-hop"),)]),
    "long": Case([ONE, TWO], [(answer(LONG),), (answer(LONG)[:70_000], answer(LONG)[70_000:])]),
    "with a content coding": Case(
        [ONE], [(answer(OK_BODY, b"Content-Type: application/json", b"Content-Encoding: gzip"),)]
    ),
    "in identity": Case([ONE], [(answer(OK_BODY, b"Content-Encoding: identity"),)]),
    "as events": Case(
        [ONE, TWO],
        [
            (answer(EVENTS, b"Content-Type: text/event-stream; charset=utf-8"),),
            (chunked(EVENTS, b"Content-Type: Text/Event-Stream"),),
        ],
    ),
    "204": Case([ONE], [(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",)]),
    "201": Case([ONE], [(answer(status=b"201 Created"),)]),
    "299": Case([ONE], [(answer(status=b"299 Odd"),)]),
    "without a reason": Case([ONE], [(answer(status=b"200"),)]),
    "304": Case([ONE], [(b"HTTP/1.1 304 Not Modified\r\nX-A: b\r\n\r\n",)]),
    "307": Case([ONE], [(answer(b"", b"Location: http://elsewhere/", status=b"307 Temporary Redirect"),)]),
    "of no length": Case([ONE], [(answer(b""),)]),
    "not json": Case([ONE], [(answer(b"<html>"),)]),
    "not an answer": Case([ONE, TWO], [(answer(b"[]"),), (answer(b"{}"),)]),
    "of odd usage": Case([ONE], [(answer(OK_BODY.replace(b'"prompt_tokens":3', b'"prompt_tokens":"x"')),)]),
    "of odd choices": Case([ONE], [(answer(OK_BODY.replace(b'"choices":[', b'"choices":[7,')),)]),
    "not utf-8": Case([ONE], [(answer(OK_BODY.replace(b"hello", b"h\xff")),)]),
    "with half a surrogate": Case([ONE], [(answer(OK_BODY.replace(b"hello", b"h\\ud800")),)]),
    "with an id that is no text": Case([ONE], [(answer(OK_BODY.replace(b'"c1"', b"7")),)]),
    "400": Case([ONE], [(answer(ERROR, status=b"400 Bad Request"),)]),
    "400 about usage": Case([ONE], [(answer(ERROR.replace(b"no", b"stream_options"), status=b"400 Bad Request"),)]),
    "401": Case([ONE], [(answer(ERROR, status=b"401 Unauthorized"),)]),
    "404": Case([ONE], [(answer(ERROR, status=b"404 Not Found"),)]),
    "429, and a fallback": Case([ONE], [(answer(ERROR, b"Retry-After: 7", status=b"429 Too Many Requests"),)]),
    "429, of all": Case(
        [ONE],
        [(answer(ERROR, b"Retry-After: 7", status=b"429 Too Many Requests"),)],
        second=[(answer(ERROR, b"Retry-After: 8", status=b"429 Too Many Requests"),)],
    ),
    "429, without a fallback": Case(
        [ONE], [(answer(ERROR, b"Retry-After: 7", status=b"429 Too Many Requests"),)], changes={"aliases": {}}
    ),
    "500, and a fallback": Case([ONE], [(answer(ERROR, status=b"500 Oh"),)]),
    "503 in two reads": Case([ONE], [(answer(ERROR, status=b"503 Oh")[:90], answer(ERROR, status=b"503 Oh")[90:])]),
    "garbage": Case([ONE], [(b"SSH-2.0-OpenSSH\r\n",)]),
    "garbage, without a fallback": Case([ONE], [(b"SSH-2.0-OpenSSH\r\n",)], changes={"aliases": {}}),
    "cut in the head": Case([ONE], [(answer()[:40], "cut")]),
    "ended in the head": Case([ONE], [(answer()[:40], "end")]),
    "cut in the body": Case([ONE], [(answer()[:-9], "cut")]),
    "ended in the body": Case([ONE], [(answer()[:-9], "end")]),
    "cut behind the head": Case([ONE], [(answer()[: -len(OK_BODY)], "cut")]),
    "ended behind the head": Case([ONE], [(answer()[: -len(OK_BODY)], "end")]),
    "an error cut behind its head": Case([ONE], [(answer(ERROR, status=b"500 Oh")[: -len(ERROR)], "cut")]),
    "cut in chunks": Case([ONE], [(chunked()[:200], "cut")]),
    "stale": Case([ONE], [("cut",)]),
    "stale and ended": Case([ONE], [("end",)]),
    "stale twice": Case([ONE], [("cut",), ("cut",)], changes={"aliases": {}}),
    "never": Case([ONE], [("hang",)], changes=FAST),
    "never, without a fallback": Case([ONE], [("hang",)], changes={**FAST, "aliases": {}}),
    "halted in the head": Case([ONE], [(answer()[:40], "hang")], changes=FAST),
    "halted in the body": Case([ONE], [(answer()[:-9], "hang")], changes=FAST),
    "halted behind the head": Case([ONE], [(answer()[: -len(OK_BODY)], "hang")], changes=FAST),
    "halted in a long body": Case([ONE], [(answer(LONG)[:-9], "hang")], changes=FAST),
    "behind 100": Case([ONE], [(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),)]),
    "behind 103, apart": Case([ONE], [(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", answer())]),
    "with more behind it": Case([ONE, TWO], [(answer() + answer(ERROR),)]),
    "with a line behind it": Case([ONE, TWO], [(answer() + b"\r\n",)]),
    "with more behind it, later": Case([ONE, TWO], [(answer(), answer(ERROR))]),
    "with spaces behind values": Case(
        [ONE, TWO], [(answer(OK_BODY, b"Content-Type: application/json  ", b"X-A: b\t", b"X-E: "),)] * 2
    ),
    "with spaces before values": Case(
        [ONE, TWO], [(answer(OK_BODY, b"Content-Type:application/json", b"X-A:   b", b"X-E:"),)] * 2
    ),
    "with headers of one name": Case(
        [ONE, TWO], [(answer(OK_BODY, b"X-A: b", b"X-A: c", b"Set-Cookie: a", b"Set-Cookie: b"),)] * 2
    ),
    "in another order": Case(
        [ONE, TWO, ONE],
        [
            (answer(OK_BODY, b"Date: x", b"Content-Type: application/json"),),
            (answer(OK_BODY, b"Content-Type: application/json", b"Date: x"),),
        ],
    ),
    "with names in other cases": Case(
        [ONE, TWO], [(answer(OK_BODY, b"content-type: application/json", b"DATE: x"),)] * 2
    ),
    "with odd bytes": Case(
        [ONE, TWO], [(answer(OK_BODY, b"X-A: \xff\xc3\xa9"),), (answer(OK_BODY, b"X-A: \xc3\xa9"),)]
    ),
    "with two lengths": Case([ONE], [(answer(OK_BODY, b"Content-Length: %d" % len(OK_BODY)),)]),
    "with an odd length": Case(
        [ONE, TWO],
        [(answer(OK_BODY).replace(b"Length: ", b"Length: 0"),), (answer(OK_BODY).replace(b"Length: ", b"Length: +"),)],
    ),
    "shorter than it says": Case([ONE], [(answer()[:-1], "hang")], changes=FAST),
    "with digests": Case(
        [ONE, TWO], [(answer(OK_BODY, b"Content-MD5: x", b"Digest: y", b"Alt-Svc: z", b"X-Weir-Fake: 1"),)] * 2
    ),
    "with a percent": Case([ONE, TWO], [(answer(OK_BODY, b"X-%s: %d"),)] * 2),
    "with no headers": Case(
        [ONE, TWO], [(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OK_BODY), OK_BODY),)] * 2
    ),
    "with an upgrade": Case([ONE], [(answer(OK_BODY, b"Upgrade: h2c", b"Connection: upgrade"),)]),
    "101": Case([ONE], [(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",)]),
    "larger than answers may be": Case(
        [ONE], [(answer(OK_BODY.replace(b"hello", b"h" * 900)),)], changes={"limits": Limits(answer_bytes=len(OK_BODY))}
    ),
    "where what cannot be read is refused": Case([ONE], [(answer(b"{}"),)], changes={"uninspected": "refuse"}),
}


def streaming(**more: Any) -> bytes:
    return call(doc(stream=True, stream_options={"include_usage": True}, **more))


SAID = b'data: {"id":"c1","model":"m-1","choices":[%b],"usage":%b}\n\n'
SPOKEN = (
    SAID % (b'{"index":0,"delta":{"role":"assistant","content":"hel"}}', b"null")
    + SAID % (b'{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}', b"null")
    + SAID % (b"", b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}')
    + b"data: [DONE]\n\n"
)
IS_EVENTS = b"Content-Type: text/event-stream"
STREAM = chunked(SPOKEN, IS_EVENTS)
FAILING = b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\ndata: [DONE]\n\n'
STREAMS: dict[str, Case] = {
    f"to a stream: {name}": replace(
        case, first=streaming(), usual=(STREAM,), calls=[streaming(n=at) for at, _ in enumerate(case.calls, 1)]
    )
    for name, case in ANSWERS.items()
} | {
    "in pieces": Case([streaming(n=1)], [(STREAM[:90], STREAM[90:200], STREAM[200:300], STREAM[300:])]),
    "head first": Case([streaming(n=1)], [(STREAM[: STREAM.index(b"\r\n\r\n") + 4], STREAM[-400:])]),
    "cut within": Case([streaming(n=1)], [(STREAM[:300], "cut")]),
    "cut before its end": Case([streaming(n=1)], [(STREAM[:-5], "cut")]),
    "to the end of the connection": Case(
        [streaming(n=1)], [(b"HTTP/1.1 200 OK\r\n" + IS_EVENTS + b"\r\n\r\n" + SPOKEN, "end")]
    ),
    "an error at first": Case([streaming(n=1)], [(chunked(FAILING, IS_EVENTS),)]),
    "an error at first, and a fallback": Case(
        [streaming(n=1)], [(chunked(FAILING, IS_EVENTS),)], second=[(STREAM,)], changes={"streams": Streams(hold_s=1.0)}
    ),
    "no usage": Case([streaming(n=1)], [(chunked(EVENTS, IS_EVENTS),)]),
    "no events": Case([streaming(n=1)], [(STREAM[: STREAM.index(b"\r\n\r\n") + 4] + b"0\r\n\r\n",)]),
    "responses that stream, answered whole": Case(first=respond(stream=True), usual=responding()),
    "messages": Case(
        first=call(doc(max_tokens=9, stream=True), MESSAGES),
        usual=(chunked(b'event: message_stop\ndata: {"type":"message_stop"}\n\n', IS_EVENTS),),
    ),
}
STREAMS |= {
    name: replace(case, first=streaming(), usual=(STREAM,)) for name, case in STREAMS.items() if case.first == call()
}
