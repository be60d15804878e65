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
from collections.abc import Callable, Iterator

import uvicorn

from flowers_onnx.errors import OutputError, UsageError
from flowers_onnx.serve.app import make_app
from flowers_onnx.serve.deadlines import GuardedProtocol
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.service import Service, open_service
from flowers_onnx.signals import endings

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
}
_OTHER_ADVICE = "--host needs an address or a name of this machine, or 0.0.0.0 for all"


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
    _on_signals(server.stop)
    log.say(f"--auth {service.authenticator.kind}; {service.ledger.promise}")
    try:
        await server.serve(sockets)
        cancelled = server.server_state.tasks.copy()  # by uvicorn: they say so, and leave rows
        if cancelled:
            await asyncio.wait(cancelled, timeout=1)
        await service.ledger.close()
        if service.fresh:
            await service.fresh.close()
        log.say("stopped; some were not answered in time" if cancelled else "stopped")
    finally:
        service.health.close()
        service.admission.close()
        log.close()
        server.ended.set()
    return 0 if not cancelled else OutputError.exit_code


def _on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` in the loop's thread for SIGTERM, Ctrl-C, and SIGHUP if it isn't ignored."""
    loop = asyncio.get_running_loop()
    for number in (*endings(), signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(stop))


class _Server(uvicorn.Server):
    """uvicorn's server with an end of our own: on a signal it exits with 0, and in time."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.ended = threading.Event()

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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or []:
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._service.log.say(
                f"listening on http://{shown}:{port}", instance=self._service.instance
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.cut()
        await super().shutdown(sockets)

    def _end_in_time(self) -> None:
        """Threads that wait for a bucket, or in a decoder, would keep the process alive."""
        if self.ended.wait(_END_SECONDS):
            return
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
    bound, missing = list[socket.socket](), None
    try:
        # asyncio spares a small answer the wait for the client's acknowledgement, 40 ms, only
        # where a socket says that it is TCP.
        found = socket.getaddrinfo(
            host.strip("[]"),
            port,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_PASSIVE,
            type=socket.SOCK_STREAM,
        )
        for family, kind, protocol, _, address in found:
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                missing = error  # a system without IPv6
                continue
            bound.append(sock)
            if os.name == "posix":  # on Windows it would let two servers share a port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                missing = error  # localhost is ::1 too, also where there is none
                bound.pop().close()
        if missing and not bound:
            raise missing
    except (OSError, UnicodeError) as error:
        for sock in bound:
            sock.close()
        raise UsageError(_cannot_listen(host, port, error)) from error
    return bound


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    why = (isinstance(error, OSError) and error.strerror) or error
    number = error.errno if isinstance(error, OSError) else None
    return f"can't listen on {host}:{port}: {why}; {_ADVICE.get(number or 0, _OTHER_ADVICE)}"
