"""A small HTTP/1.1 server on loopback, in a thread of its own.

It exists because a fault must be able to close a connection without an answer, which no ASGI server lets an
application do. The protocol itself is ``h11``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from email.utils import formatdate

import h11

from airflow_xacct.sandbox.wire import DropConnection, Handler, Request, Response

__all__ = ["LoopbackServer"]

_READ_SIZE_BYTES = 256 * 1024
_STOP_TIMEOUT_SECONDS = 10.0


class LoopbackServer:
    """Serves one handler on 127.0.0.1 until it is closed.

    :param handler: answers a request; runs in the server's own event loop.
    :param refuse_early: asked with the head of a request, before its body is read; what it answers ends the connection.
    :param port: 0 for a free one.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        refuse_early: Callable[[Request], Response | None] = lambda request: None,  # noqa: ARG005
        port: int = 0,
    ) -> None:
        self._handler = handler
        self._refuse_early = refuse_early
        # bound before the thread starts, so that the address is known and a taken port is the caller's error
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="xacct-sandbox", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns once connections are accepted."""
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Stop serving, close every connection and end the thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_TIMEOUT_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                connections.add(task)
                task.add_done_callback(connections.discard)
            with contextlib.suppress(asyncio.CancelledError):
                await _Connection(self._handler, self._refuse_early, reader, writer).serve()

        server = await asyncio.start_server(connected, sock=self._socket, limit=_READ_SIZE_BYTES)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class _Connection:
    """One client, one request after the other."""

    def __init__(
        self,
        handler: Handler,
        refuse_early: Callable[[Request], Response | None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._handler = handler
        self._refuse_early = refuse_early
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        """Answer until either side closes; a connection that breaks is the client's business."""
        # head and body are written apart: without this each answer waits for the client's delayed ACK
        self._writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._exchange():
                self._protocol.start_next_cycle()
        except (DropConnection, ConnectionError, h11.RemoteProtocolError):
            # abort, not close: no bytes may follow, and a client that waits must notice at once
            self._writer.transport.abort()
        finally:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        while True:
            event = self._protocol.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._protocol.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            self._protocol.receive_data(await self._reader.read(_READ_SIZE_BYTES))

    async def _exchange(self) -> bool:
        """Serve one request; returns whether another may follow on this connection."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return False
        early = self._refuse_early(_request(head, b""))
        if early is not None:
            await self._answer(_request(head, b""), early)
            return False
        chunks = []
        while isinstance(event := await self._event(), h11.Data):
            chunks.append(event.data)
        if isinstance(event, h11.ConnectionClosed):
            return False
        request = _request(head, b"".join(chunks))
        del chunks
        response = await self._handler(request)
        await self._answer(request, response)
        return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE

    async def _answer(self, request: Request, response: Response) -> None:
        response.drop("connection", "transfer-encoding")
        if request.method == "HEAD" or response.status in (204, 304):
            body = b""
            if not response.header("content-length"):
                response.headers["Content-Length"] = "0"
        else:
            body = response.body
            response.drop("content-length")
            response.headers["Content-Length"] = str(len(body))
        headers = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in response.headers.items()]
        if not response.header("date"):
            headers.append((b"Date", formatdate(usegmt=True).encode("ascii")))
        self._send(h11.Response(status_code=response.status, headers=headers))
        if body:
            for piece in self._protocol.send_with_data_passthrough(h11.Data(data=body)) or ():
                self._writer.write(piece)
        self._send(h11.EndOfMessage())
        await self._writer.drain()

    def _send(self, event: h11.InformationalResponse | h11.Response | h11.EndOfMessage) -> None:
        self._writer.write(self._protocol.send(event) or b"")


def _request(head: h11.Request, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1").lower(), _text(value)
        # SigV4 signs a header sent on several lines as its values joined by a bare comma
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    path, _, query = head.target.decode("latin-1").partition("?")
    return Request(head.method.decode("ascii"), path, query, headers, body)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
