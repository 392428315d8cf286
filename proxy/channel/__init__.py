"""The channel between workers and control: `Sender` in a worker, `Receiver` in control, over a unix socket.

Records go one way in batches, each acknowledged when control has dealt with it; what was not acknowledged is sent again
over the next connection, so control meets a record once or more, never less. Questions (`ask`) go the same way and are
answered out of order; a question sees what was `put` before it. Messages of control (`push`, `tell`) go the other way,
and are handled one after the other. A worker that was away has missed pushes: `on_join` is
where control says what is current.
"""

from proxy.channel.receiver import Peer, Receiver
from proxy.channel.sender import AskFailed, ChannelDown, ChannelError, ChannelFull, Sender

__all__ = ["AskFailed", "ChannelDown", "ChannelError", "ChannelFull", "Peer", "Receiver", "Sender"]
