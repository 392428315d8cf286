"""Paths that no codec reads: uploads, binary answers, files, websockets; untouched both ways."""

from __future__ import annotations

import os
from typing import Any

import aiohttp
import pytest

from tests.pairs import Opened

BIG_BYTES = 5 * 1024 * 1024
KEY = ("Authorization", "Bearer sk-caller")


def upload(data: bytes) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    mark = "weir7b0undary"
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="d\u00e4ta.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
    return body, (("Content-Type", f"multipart/form-data; boundary={mark}"), KEY)


async def test_a_file_goes_up_and_comes_back_and_goes_away(opened: Opened) -> None:
    data = os.urandom(BIG_BYTES)
    body, headers = upload(data)
    async with opened() as pair:
        made = await pair.through("/v1/files", body, headers=headers)
        assert made.status == 200
        assert pair.sent.body == body
        assert pair.sent.header("content-type") == headers[0][1]
        assert made.body == (await pair.direct("/v1/files", body, headers=headers)).body
        key = made.body.split(b'"id":"')[1].split(b'"')[0].decode()
        for path in (f"/v1/files/{key}/content", f"/v1/files/{key}", "/v1/files?limit=1&after=%2F"):
            through = await pair.through(path, method="GET", headers=(KEY,))
            assert pair.sent.target == path
            direct = await pair.direct(path, method="GET", headers=(KEY,))
            assert (through.status, through.body) == (direct.status, direct.body)
            assert through.header("content-type") == direct.header("content-type")
        assert (await pair.through(f"/v1/files/{key}/content", method="GET", headers=(KEY,))).body == data
        gone = await pair.through(f"/v1/files/{key}", method="DELETE", headers=(KEY,))
        assert gone.status == 200
        assert pair.sent.method == "DELETE"
        assert (await pair.through(f"/v1/files/{key}", method="GET", headers=(KEY,))).status == 404
        records = await pair.sink.wait_for(7)
        assert all(record["uninspected"] == ["path"] for record in records)


async def test_an_upload_without_a_length_flows_through(opened: Opened) -> None:
    body, headers = upload(os.urandom(BIG_BYTES))

    async def pieces() -> Any:
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    async with opened() as pair:
        made = await pair.through("/v1/audio/transcriptions", pieces(), headers=headers)
        assert made.status == 200
        assert pair.sent.body == body
        assert pair.sent.header("transfer-encoding") == "chunked"


async def test_binary_audio_comes_back_as_it_was_said(opened: Opened) -> None:
    sent = b'{"model":"tts-1","input":"hello","voice":"alloy"}'
    headers = (("Content-Type", "application/json"), KEY, ("x-sim", f"size={BIG_BYTES}"))
    async with opened() as pair:
        direct = await pair.direct("/v1/audio/speech", sent, headers=headers)
        through = await pair.through("/v1/audio/speech", sent, headers=headers)
        assert len(through.body) == BIG_BYTES
        assert through.body == direct.body
        assert through.header("content-type") == "audio/mpeg"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["/v1/assistants/asst_1?a=%2f&a=1+2&b&%C3%A9=", "/v1/x/~y/z%20z;p=1/:cancel"])
async def test_any_other_path_is_relayed_as_it_stands(opened: Opened, method: str, path: str) -> None:
    sent = b'{ "x": 1.50 }' if method in ("POST", "PUT", "PATCH") else None
    headers = (KEY, ("Content-Type", "application/json")) if sent else (KEY,)
    async with opened() as pair:
        through = await pair.through(path, sent, method=method, headers=headers)
        assert (pair.sent.method, pair.sent.target, pair.sent.body) == (method, path, sent or b"")
        direct = await pair.direct(path, sent, method=method, headers=headers)
        assert (through.status, through.body) == (direct.status, direct.body)
        assert through.header("content-length") == direct.header("content-length")


async def test_a_websocket_carries_everything_both_ways(opened: Opened) -> None:
    big = os.urandom(300_000)
    async with opened() as pair:
        url = pair.running.root + "/v1/realtime?model=gpt-4o-realtime"
        headers = {"Authorization": "Bearer sk-caller", "OpenAI-Beta": "realtime=v1", "x-weir-agent": "a"}
        async with pair.session.ws_connect(
            url, headers=headers, protocols=("realtime", "other"), max_msg_size=0
        ) as socket:
            assert socket.protocol == "realtime"
            hello = await socket.receive_json()
            assert hello["type"] == "session.created"
            await socket.send_str('{ "x": "caf\\u00e9 é" }')
            assert await socket.receive_str() == '{ "x": "caf\\u00e9 é" }'
            await socket.send_bytes(big)
            assert await socket.receive_bytes() == big
            await socket.send_str("")
            assert await socket.receive_str() == ""
            await socket.close(code=4001, message=b"enough")
            assert socket.close_code == 4001
        sent = pair.sent
        assert sent.target == "/v1/realtime?model=gpt-4o-realtime"
        assert sent.header("authorization") == "Bearer sk-caller"
        assert sent.header("openai-beta") == "realtime=v1"
        assert sent.header("x-weir-agent") is None
        (record,) = await pair.sink.wait_for(1)
        assert record["uninspected"] == ["websocket"]


async def test_a_websocket_ends_on_both_sides_when_its_caller_vanishes(opened: Opened) -> None:
    async with opened() as pair:
        before = len(pair.provider.connections)
        async with pair.session.ws_connect(pair.running.root + "/v1/realtime?model=x") as socket:
            await socket.receive()
            assert len(pair.provider.connections) == before + 1
            assert socket._response.connection is not None
            transport = socket._response.connection.transport
            assert transport is not None
            transport.abort()
            await pair.provider.until(lambda: len(pair.provider.connections) == before)


async def test_what_may_not_be_uninspected_is_refused_and_never_sent(opened: Opened) -> None:
    async with opened(uninspected="refuse") as pair:
        for path, method in (("/v1/files", "GET"), ("/v1/audio/speech", "POST"), ("/v1/realtime", "GET")):
            got = await pair.through(path, method=method, headers=(KEY,))
            assert got.status == 403
            assert b'"code":"uninspected"' in got.body
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await pair.session.ws_connect(pair.running.root + "/v1/realtime")
        assert not pair.provider.requests
