"""``flowers serve`` as a process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.serve.app import make_app
from flowers_onnx.serve.deadlines import GuardedProtocol
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.service import Service, open_service

#: From SIGTERM: for what was accepted to be answered, and for all to be over. Cloud Run and
#: Docker kill after 10.
_ANSWER_SECONDS, _END_SECONDS = 7, 9.5
_KEEP_ALIVE_SECONDS = 5
#: Files and connections of our own.
_OTHER_DESCRIPTORS = 100
_BACKLOG = 1024

#: What helps where an address can't be had.
_ADVICE = {
    errno.EADDRINUSE: "choose another --port",
    errno.EACCES: "choose a --port above 1023",
    errno.EADDRNOTAVAIL: "--host needs an address of this machine",
}


def run(options: Options) -> int:
    """Serve until SIGTERM (returns 0) or Ctrl-C; 4 if something accepted couldn't be kept.

    Raises ``FlowersError`` before the first request.
    """
    sockets = _bind(options.host, options.port)
    service = open_service(options)
    return asyncio.run(_serve(service, sockets))


async def _serve(service: Service, sockets: list[socket.socket]) -> int:
    """From the start to the end of a service."""
    log = service.log
    logging.getLogger().addHandler(log)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a client's fault, not ours
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings hold signed addresses
    service.health.check_model()  # the first inference is slow
    await service.ledger.start()
    if service.fresh:
        service.fresh.start()
    gc.freeze()  # what is here now stays: don't look through it again and again
    server = _Server(_config(service), service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.say(f"listening on http://{shown}:{port}", instance=service.instance)
    log.say(f"--auth {service.authenticator.kind}; {service.ledger.promise}")
    try:
        await server.serve(sockets)
        await service.ledger.close()
        if service.fresh:
            await service.fresh.close()
        log.say("stopped")
    finally:
        service.health.close()
        service.admission.close()
        log.close()
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server with an end of our own: on a signal it exits with 0, and in time."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def stop(self) -> None:
        """What SIGTERM and Ctrl-C do."""
        if self.should_exit:
            return
        self._service.log.say("stopping")
        self._service.health.stopping = True
        self.should_exit = True
        threading.Thread(target=self._end_in_time, name="flowers-end", daemon=True).start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are the loop's

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.cut()
        await super().shutdown(sockets)

    def _end_in_time(self) -> None:
        """Threads that wait for a bucket, or in a decoder, would keep the process alive."""
        threading.Event().wait(_END_SECONDS)
        self._service.log.say("something accepted could not be kept in time", "ERROR")
        self._service.log.close()
        os._exit(OutputError.exit_code)


def _config(service: Service) -> uvicorn.Config:
    GuardedProtocol.max_connections = _most_connections()
    return uvicorn.Config(
        make_app(service),
        http=GuardedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_ANSWER_SECONDS,
        backlog=_BACKLOG,
    )


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return GuardedProtocol.max_connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(GuardedProtocol.max_connections, max(16, soft - _OTHER_DESCRIPTORS))


def _bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for all addresses of ``host``; raises ``UsageError``."""
    bound = []
    try:
        # asyncio spares a small answer the wait for the client's acknowledgement, 40 ms, only
        # where a socket says that it is TCP.
        found = socket.getaddrinfo(
            host, port, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE, type=socket.SOCK_STREAM
        )
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            bound.append(sock)
            if os.name == "posix":  # on Windows it would let two servers share a port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
    except OSError as error:
        for sock in bound:
            sock.close()
        advice = _ADVICE.get(error.errno or 0, "--host needs an address of this machine")
        raise UsageError(
            f"can't listen on {host}:{port}: {error.strerror or error}; {advice}"
        ) from error
    return bound
