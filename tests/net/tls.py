"""What the TLS tests share: certificates made for the occasion, and connected pairs."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trustme

from helpers import Recorder, Service

Pair = tuple[Recorder, Recorder]


class Certificates:
    """An authority, and contexts that trust it or have a certificate of it."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.server = self.new_server()
        self.client = self.new_client()
        self.suspicious = ssl.create_default_context()

    def new_server(self, name: str = "localhost") -> ssl.SSLContext:
        """A context with a certificate for `name`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context

    def new_client(self) -> ssl.SSLContext:
        """A context that trusts the authority, and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


@asynccontextmanager
async def secure(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    name: str = "localhost",
    *,
    finish: bool = True,
) -> AsyncIterator[Pair]:
    """Both ends of a TLS connection; closed at the end, unless the test does that itself."""
    service = await Service().start(ssl=server)
    near = await service.dial(ssl=client, server_hostname=name)
    (far,) = await service.accepted()
    yield near, far
    if finish:
        near.transport.close()
        assert await near.lost is None
        assert await far.lost is None
    service.made.clear()
    await service.close()
