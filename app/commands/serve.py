"""`lfi serve`: the page and the API on one port."""

from __future__ import annotations

import ctypes
import errno
import socket
from contextlib import suppress
from math import ceil
from typing import Annotated

import typer

from app.commands.maps import fetched
from lfi.errors import CheckpointError, ConfigError

commands = typer.Typer()
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3
"""Options of glibc's `mallopt`, from its malloc.h."""


@commands.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [LFI_HOST, default 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one. [LFI_PORT, default 7860]")] = None,
    trio: Annotated[str | None, typer.Option(help="Trio used if none is named. [LFI_TRIO]")] = None,
    models_dir: Annotated[str | None, typer.Option(help="Folder that holds the trios. [LFI_MODELS_DIR]")] = None,
) -> None:
    """Serve the page and the API until interrupted."""
    from app.access.keyring import keys_are_asked_for
    from app.settings import read_settings

    if trio is not None and trio.startswith("hf-hub:"):
        folder = fetched(trio)
        trio, models_dir = folder.name, str(folder.parent)
    settings = read_settings(host=host, port=port, trio=trio, models_dir=models_dir)
    # Checked first, so that a port in use or a missing key is reported immediately.
    listener = bind(settings.host, settings.port)
    keys_are_asked_for(settings.auth, settings.keys, settings.host)

    import uvicorn

    from app.main import create_app
    from app.telemetry.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    give_memory_back()

    def stop() -> None:
        server.should_exit = True

    app = create_app(settings, on_failure=stop)
    # One process: the page's queue and the warm models live in memory.
    # Requests are logged by app.telemetry, which leaves out paths and addresses.
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=ceil(settings.shutdown_seconds),
    )
    server = uvicorn.Server(config)
    print(f"LFI is served at {address(listener)}{settings.root_path} (Ctrl+C stops it)", flush=True)
    with suppress(KeyboardInterrupt):  # uvicorn has shut down in good order and passes the interrupt on
        server.run(sockets=[listener])
    trios = app.state.engine.trios
    if trios.default in trios.failures:
        raise CheckpointError(f"trio {trios.default!r} cannot be served: {trios.failures[trios.default]}")


def give_memory_back() -> None:
    """Tell glibc's allocator to return what decoded pictures took; elsewhere nothing is done.

    By default it keeps a heap for nearly every thread, and what one thread frees cannot serve others: after a
    thousand uploads the process held twice as much (`lfi benchmark hostile`). Blocks of an image's size are returned
    immediately.
    """
    with suppress(OSError, AttributeError):
        set_option = ctypes.CDLL("libc.so.6").mallopt
        set_option(_ARENA_MAX, 2)
        set_option(_MMAP_THRESHOLD, 8 << 20)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to this address.

    Raises:
        ConfigError: the port is taken or privileged, or the host is not an address of this machine.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"the host {host!r} is not known; 127.0.0.1 serves this machine only") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(where)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} on {host} is already taken; choose another with --port"
        elif error.errno == errno.EACCES:
            reason = f"port {port} needs administrator rights; choose one above 1023 with --port"
        else:
            reason = f"cannot listen on {host}: {error.strerror}"
        raise ConfigError(reason) from error
    return listener


def address(listener: socket.socket) -> str:
    """The address to type into a browser."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
