"""What a worker was given by the process that supervises it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of linux/prctl.h


@dataclass(frozen=True)
class Worker:
    """One of several processes that share a port.

    Attributes:
        number: From 0.
        of: How many there are.
        listener: Descriptor of the listening socket.
        channel: Descriptor of the line to the supervisor.
        metrics: Descriptor of the memory in which the workers count.
        counts: Descriptor of the memory in which they tell their connections.
        parent: The supervisor's process id.
        grpc_listener: Descriptor of the listening socket for gRPC; ``None`` where it is not spoken.
        grpc_counts: Descriptor of the memory in which the workers tell their connections of gRPC.
    """

    number: int
    of: int
    listener: int
    channel: int
    metrics: int
    counts: int
    parent: int
    grpc_listener: int | None = None
    grpc_counts: int = -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return all that are open for it."""
        http = (self.listener, self.channel, self.metrics, self.counts)
        return http if self.grpc_listener is None else (*http, self.grpc_listener, self.grpc_counts)

    def to_argument(self) -> str:
        """Return it as one argument of a command line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_argument(cls, text: str) -> Worker:
        """Return what an argument says."""
        return cls(**json.loads(text))

    def connect(self) -> socket.socket:
        """Return this end of the line to the supervisor."""
        return socket.socket(fileno=self.channel)

    def end_with_parent(self) -> None:
        """Be told to stop when the supervisor is gone, also while user code does not let the line be read."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGTERM)
            if os.getppid() != self.parent:  # gone already
                os.kill(os.getpid(), signal.SIGTERM)
