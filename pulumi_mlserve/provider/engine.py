"""The engine that asks this plugin: what is shown to the person who runs it, and whether it still hears."""

from __future__ import annotations

import os
import threading
from typing import Any, Final

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from pulumi_mlserve.provider.call import Say
from pulumi_mlserve.provider.failures import masked

MESSAGE_OPTIONS: Final = [("grpc.max_receive_message_length", 400 << 20)]  # what the engine itself allows


class Engine:
    """The engine as handlers hear of it.

    Args:
        address: Where it takes texts to show; empty for one that takes none.

    Attributes:
        stop: Set when work in progress shall stop.
    """

    def __init__(self, address: str) -> None:
        self.stop = threading.Event()
        self._process = os.getppid()
        self._ending = False
        self.connect(address)

    def connect(self, address: str) -> None:
        """Show texts at this address from now on."""
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, MESSAGE_OPTIONS)) if address else None

    def leave(self) -> None:
        """Ask all work in progress to stop, of which the engine hears no more."""
        self._ending = True
        self.stop.set()

    def is_heard(self) -> bool:
        """Return whether the engine still hears what becomes of its requests."""
        return not self._ending and os.getppid() == self._process

    def voice_of(self, urn: str, hidden: list[Any]) -> Say:
        """Return what shows texts of a resource, without what must stand in no message."""
        severities = {"status": engine_pb2.INFO, "info": engine_pb2.INFO, "warning": engine_pb2.WARNING}

        def say(text: str, kind: str) -> None:
            if self._stub is None:
                return
            try:
                self._stub.Log(
                    engine_pb2.LogRequest(
                        severity=severities[kind],
                        message=masked(text, hidden) if hidden else text,
                        urn=urn,
                        ephemeral=kind == "status",
                    )
                )
            except grpc.RpcError:
                # The engine has gone; the work goes on to a consistent end and finds out by Cancel.
                self.stop.set()

        return say
