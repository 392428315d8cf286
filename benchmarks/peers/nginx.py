"""nginx with `proxy_pass`: C; passes bytes on and knows nothing of what they mean."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.peers.environments import done, once
from benchmarks.peers.peer import Command, Peer

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))
SETTINGS = """\
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    # A client's 1,000th call must not close its connection, nor must the provider's.
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    client_max_body_size 64m;
    client_body_buffer_size 4m;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    upstream provider {{
        server {server};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass {scheme}://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # Streams: every piece goes on when it comes.
            proxy_buffering off;
            proxy_next_upstream off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def binary(folder: Path) -> str | None:
    """The system's own, else the one unpacked into the folder."""
    unpacked = folder.resolve() / "usr" / "sbin" / "nginx"
    return shutil.which("nginx", path=PLACES) or (str(unpacked) if unpacked.is_file() else None)


def install(folder: Path) -> str | None:
    """The system's is taken as it is; else Debian's package is fetched and unpacked, which needs no root."""
    if shutil.which("nginx", path=PLACES):
        return None
    return once(folder, "nginx", unpack)


def unpack(folder: Path) -> str | None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "nginx is not installed here, and there is no apt-get to fetch it with."
    fetch = ["apt-get", "download", "nginx"]
    if not done(fetch, folder) and not (done(["apt-get", "update"], folder) and done(fetch, folder)):
        return "nginx is not installed here, and apt-get could not fetch it."
    for package in folder.glob("nginx_*.deb"):
        done(["dpkg-deb", "--extract", str(package), str(folder)], folder)
    found = binary(folder)
    return None if found and done([found, "-v"], folder) else "Debian's nginx does not run without its dependencies."


def found(folder: Path) -> str:
    told = subprocess.run([binary(folder) or "nginx", "-v"], capture_output=True, text=True).stderr
    return told.rpartition("/")[2].strip()


def command(folder: Path, port: int, provider: str, work: Path) -> Command:
    url = urlsplit(provider)
    path = work / "nginx.conf"
    path.write_text(SETTINGS.format(work=work.resolve(), server=url.netloc, port=port, scheme=url.scheme))
    return [binary(folder) or "nginx", "-e", "stderr", "-p", str(work.resolve()), "-c", str(path.resolve())], {}


PEER = Peer("nginx", "Debian's", "forwards only", install, command, found=found)
