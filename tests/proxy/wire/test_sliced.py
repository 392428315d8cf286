"""Long JSON read in slices is the same document, and the same refusal, as in one go."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import orjson
import pytest

from proxy.errors import MalformedBody
from proxy.wire import coding, sliced

WORDS = ("plain", "tür", "漢字", "😀", 'quo"te', "back\\slash", "new\nline", "\x7f", "{[,:]}", "\\u00e9", "\\")


def run(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return ended.value


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and pieces so small that every seam is met."""
    monkeypatch.setattr(sliced, "LONG_BYTES", 0)
    monkeypatch.setattr(sliced, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(sliced, "PIECE_BYTES", 48)
    monkeypatch.setattr(sliced, "WINDOW_BYTES", 24)


def texts(chance: random.Random, longest: int) -> str:
    return "".join(chance.choice(WORDS) for _ in range(chance.randint(0, longest)))


def value(chance: random.Random, levels: int) -> Any:
    kind = chance.randint(0, 9 if levels else 5)
    if kind < 3:
        return texts(chance, chance.choice((1, 3, 40)))
    if kind < 6:
        return chance.choice((None, True, 7, -2.5, 1e300, 2**70, 10**17, []))
    if kind < 8:
        return [value(chance, levels - 1) for _ in range(chance.randint(0, 9))]
    return {f"{texts(chance, 2)}{number}": value(chance, levels - 1) for number in range(chance.randint(0, 9))}


def written(chance: random.Random, doc: Any) -> bytes:
    style: Any = chance.choice(({"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {}))
    return json.dumps(doc, ensure_ascii=chance.random() < 0.5, **style).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("seed", range(150))
def test_a_document_is_the_same_in_slices(seed: int) -> None:
    chance = random.Random(seed)
    doc = {f"member {number}": value(chance, 5) for number in range(chance.randint(0, 12))}
    raw = b" \n" * chance.randint(0, 3) + written(chance, doc) + b"\r\n" * chance.randint(0, 2)
    found = run(sliced.reading(raw))
    assert found == coding.parse(raw) == doc
    assert json.dumps(found) == json.dumps(coding.parse(raw))
    assert run(sliced.loading(raw)) == coding.load(raw)


@pytest.mark.parametrize("seed", range(300))
def test_what_is_refused_in_one_go_is_refused_in_slices(seed: int) -> None:
    chance = random.Random(seed)
    doc = {f"member {number}": value(chance, 4) for number in range(chance.randint(1, 8))}
    raw = bytearray(written(chance, doc))
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(raw))
        match chance.randint(0, 3):
            case 0:
                del raw[at : at + chance.choice((1, 1, 5, 10**6))]
            case 1:
                raw[at:at] = chance.choice((b",", b'"', b"}", b"]", b"[", b"{", b":", b"\\", b"\x00", b"\xff", b" 1"))
            case 2:
                raw[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                raw += chance.choice((b"x", b",", b"{}", b" "))
        if not raw:
            return
    both = [outcome(lambda: coding.parse(bytes(raw))), outcome(lambda: run(sliced.reading(bytes(raw))))]
    assert both[0][0] == both[1][0], both
    if both[0][0] == "ok":
        assert both[0] == both[1]


def outcome(work: Any) -> tuple[str, Any]:
    try:
        return "ok", work()
    except MalformedBody as refused:
        return "refused", refused.message


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":"' + b"x" * 90 + b'","b":[1,2],"a":3}',
        b'{"a":{"b":"' + b"x" * 90 + b'","b":1}}',
        b'{"list":[{"k":1,"k":2}],"text":"' + b"y" * 99 + b'"}',
        b'{"text":"' + b"y" * 99 + b'","list":[[{"k":1,"k":2}]]}',
        b'{"a":' + b"[" * 129 + b"]" * 129 + b',"b":"' + b"x" * 80 + b'"}',
        b'{"b":"' + b"x" * 80 + b'","a":' + b'{"a":' * 128 + b"1" + b"}" * 128 + b"}",
        b'{"a":"' + b"x" * 200 + b"\xff" + b'"}',
        b'{"a":"' + "ü".encode() * 100 + b"\xc3" + b'"}',
        b'{"a":"' + b"x" * 200 + b"\x00" + b'"}',
        b'{"a":"' + b"x" * 200 + b'\\q"}',
        b'{"a":"' + b"x" * 200 + b'\\ud83d"}',
        b'{"a":"' + b"x" * 200 + b'",}',
        b'{"a":"' + b"x" * 200 + b'"} {}',
        b'{\n"a":\n"' + b"x" * 200 + b'" 1}',
        b'{"a":[1,2,' + b"3," * 99 + b"]}",
        b'{"a":"' + b"x" * 200,
        b"[" + b"1," * 99 + b"1]",
    ],
)
def test_the_sentence_is_the_same(raw: bytes) -> None:
    one = outcome(lambda: coding.parse(raw))
    other = outcome(lambda: run(sliced.reading(raw)))
    assert one[0] == other[0] == "refused"
    assert one[1].partition(" JSON: ")[0] == other[1].partition(" JSON: ")[0]


def test_the_deepest_that_is_taken_is_taken() -> None:
    raw = b'{"b":"' + b"x" * 80 + b'","a":' + b'{"a":' * 126 + b'[1,2,"' + b"y" * 90 + b'"]' + b"}" * 126 + b"}"
    assert run(sliced.reading(raw)) == coding.parse(raw)


def test_of_doubled_keys_in_an_answer_the_last_one_stands() -> None:
    raw = b'{"a":"' + b"x" * 90 + b'","b":[1,2],"a":3}'
    assert run(sliced.loading(raw)) == coding.load(raw) == {"a": 3, "b": [1, 2]}


def test_an_answer_that_is_no_json_raises_value_error() -> None:
    for raw in (b'{"a":"' + b"x" * 90, b"[" * 2000 + b"]" * 2000, b'{"a":1} x' + b" " * 99):
        with pytest.raises(ValueError, match=r"."):
            run(sliced.loading(raw))


def test_a_pair_of_surrogates_is_not_cut_in_half() -> None:
    for lead in range(40):
        raw = b'{"a":"' + b"\\\\" * lead + b"x" * (lead % 5) + b"\\ud83d\\ude00" * 30 + b'"}'
        assert run(sliced.reading(raw)) == coding.parse(raw)


async def test_others_run_between_the_steps() -> None:
    raw = orjson.dumps({"a": [{"role": "user", "content": "word " * 20}] * 3000})
    turns, spent = 0, 0.0

    def now() -> float:
        nonlocal spent
        spent += 0.001
        return spent

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await sliced.paced(sliced.reading(raw), now) == coding.parse(raw)
    task.cancel()
    assert turns > 100


def test_scanning_is_linear_in_what_is_hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    unit = b"[" * 100 + b"1," * 2000 + b"1" + b"]" * 100
    costs = []
    for count in (80, 320):
        raw = b'{"a":[' + b",".join([unit] * count) + b"]}"
        took = []
        for _ in range(4):  # the least of several: what a neighbour adds is not this
            began = time.thread_time()
            run(sliced.reading(raw))
            took.append(time.thread_time() - began)
        costs.append(min(took))
    assert costs[1] < costs[0] * 14, "four times as much, and quadratic would be sixteen"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 2}',
        b'{"a" : 1, "b": "\\u003ax", "a": 2}',
        b'{"a": 1, "b": "\\u003ax", "a": 2}',
        b'{"a": 1, "b": "\\u0022:", "a": 2}',
        b'{"a": 1, "b": "\\":", "a" : 2}',
        b'{"a": ":x", "a": 1}',
        b'{"a": ":x", "b"  : ":y", "a": ":z"}',
        b'{"a"\n: 1, "b":\t":", "a": ":"}',
        b'{ "a": {"x":1}, "b": "\\u003a", "a": {"x":1}}',
        b'{ "\\u003a": 1, ":": 2}',
        b'{ ":": 1, "\\u003A": 2}',
    ],
)
def test_no_way_of_writing_hides_a_doubled_key(raw: bytes) -> None:
    for read in (coding.parse, lambda raw: run(sliced.reading(raw))):
        with pytest.raises(MalformedBody, match="twice"):
            read(raw)


@pytest.mark.parametrize("seed", range(200))
def test_a_doubled_key_is_always_seen(seed: int) -> None:
    chance = random.Random(seed)
    blanks = ("", "", "", " ", "\n", "  ")
    names = [chance.choice(("a", ":", "\\u003a", '\\"', "\\u0022:", "b", "\\\\", '\\\\\\":')) for _ in range(4)]
    texts = [chance.choice(("x", ":", "\\u003a", '\\":', "\\u0022:", '\\"\\u003a', "\\\\")) for _ in range(4)]
    members = [
        f'{chance.choice(blanks)}"{name}"{chance.choice(blanks)}:{chance.choice(blanks)}"{text}"{chance.choice(blanks)}'
        for name, text in zip(names, texts, strict=True)
    ]
    raw = ("{" + ",".join(members) + "}").encode()
    whole = len({json.loads(f'"{name}"') for name in names}) == len(names)
    assert (outcome(lambda: coding.parse(raw))[0] == "ok") is whole
    assert (outcome(lambda: run(sliced.reading(raw)))[0] == "ok") is whole


QUICK = {
    "as orjson writes it": b'{"a":["x",1.5,null]}',
    "loosely": b'{ "a": ["x", 1.50] }',
    "an integer beyond 64 bits": b'{"a":' + b"9" * 30 + b"}",
    "escaped": b'{"a":"\\u00e9\\ud83d\\ude00"}',
    "no object": b"[1]",
}


@pytest.mark.parametrize("name", QUICK)
def test_what_is_read_quickly_is_what_is_read_closely(name: str) -> None:
    raw = QUICK[name]
    found = coding.compact(raw, 128)
    assert found == json.loads(raw)
    assert json.dumps(found) == json.dumps(json.loads(raw))


def test_a_key_that_stands_twice_is_refused_however_it_is_read() -> None:
    with pytest.raises(MalformedBody, match="twice"):
        coding.compact(b'{"a":1,"a":2}', 128)


@pytest.mark.parametrize(
    "raw", [b'{"a":1,}', b"{", b'{"a":"\xff"}', b'{"a":' + b"[" * 127 + b"1" + b"]" * 127 + b"}", b"[{}]" * 9000]
)
def test_what_is_not_quick_is_left_to_a_closer_look(raw: bytes) -> None:
    assert coding.compact(raw, 100) is None


def test_a_text_of_very_many_values_is_not_quick() -> None:
    row = b",".join([b"1"] * 290_000)
    assert coding.compact(b'{"a":[' + row + b"]}", 128) is None
    assert coding.compact(b'{"a":[' + row[:200_000] + b"1]}", 128) is not None
    assert coding.compact(b'{"a": [' + row[:200_000] + b"1]}", 128) is None  # (it would have to be read twice)
