"""The yardstick: a relay of aiohttp's own server and client, nothing else. Arguments: PORT UPSTREAM [CA_FILE]."""

from __future__ import annotations

import ssl
import sys

import aiohttp
import uvloop
from aiohttp import web


def trust(ca_file: str) -> ssl.SSLContext | bool:
    """As Weir trusts an upstream with `ca_file`: that authority and no other, names checked, HTTP/1.1 offered."""
    if not ca_file:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(cafile=ca_file)
    return context


def app(upstream: str, ca_file: str = "") -> web.Application:
    made = web.Application(client_max_size=64 * 1024 * 1024)
    session: list[aiohttp.ClientSession] = []

    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        async with session[0].post(upstream + request.path, data=body, headers=headers) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
            response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    async def start(_: web.Application) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=trust(ca_file))
        session.append(aiohttp.ClientSession(connector=connector, auto_decompress=False))

    async def stop(_: web.Application) -> None:
        await session[0].close()

    made.router.add_post("/{tail:.*}", relay)
    made.on_startup.append(start)
    made.on_cleanup.append(stop)
    return made


if __name__ == "__main__":
    uvloop.install()
    web.run_app(app(*sys.argv[2:4]), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
