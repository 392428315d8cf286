"""Relays by others that `make bench-peers` measures beside Weir, each in an environment of its own.

TensorZero is not among them: its package holds a client, and its gateway comes as a container only.
"""

from __future__ import annotations

from benchmarks.peers import ferro, litellm, nginx, portkey, vllm_router
from benchmarks.peers.peer import MODELS, Peer

PEERS: tuple[Peer, ...] = (nginx.PEER, vllm_router.PEER, ferro.PEER, portkey.PEER, litellm.PEER)

__all__ = ["MODELS", "PEERS", "Peer"]
