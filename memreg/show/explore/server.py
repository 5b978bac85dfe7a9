"""A server for one browser on this machine: nobody else is answered, and nothing is written."""

import os
import re
import secrets
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from memreg.errors import MemregError
from memreg.registry.connection import one_line
from memreg.show.explore.assets import SCRIPTS, STYLE, filled, read
from memreg.show.explore.desk import Desk
from memreg.show.explore.packed import pack

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 20_000, 12_000
KINDS = {".js": "text/javascript", ".css": "text/css"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LASTING = {"Cache-Control": "private, max-age=86400, immutable"}
"""Of images: an address names a cell's data set by its hash, so what it shows does not change."""


def app(desk: Desk, token: str, port: int) -> ASGIApp:
    """What answers: the page's files, and what they ask for."""
    served = {"/": ("text/html", _index())}
    for name in (STYLE, *SCRIPTS):
        served[f"/{name}"] = KINDS[name[name.rindex(".") :]], read(name)

    def told(call: Callable[..., Any], *names: str) -> Callable[[Request], Response]:
        return lambda request: JSONResponse(call(*(request.path_params[name] for name in names)))

    def columns(call: Callable[..., Any], request: Request, *rest: Any) -> Response:
        return Response(pack(call(request.path_params["cell"], *rest)), media_type="application/octet-stream")

    def picture(request: Request) -> Response:
        data, kind = desk.image(request.path_params["cell"], request.path_params["place"])
        return Response(data, media_type=kind, headers=LASTING)

    def sheet(request: Request) -> Response:
        across = _numbers(request.query_params.get("columns", "1"))[0]
        data, kind = desk.sheet(request.path_params["cell"], _asked(request), max(1, across))
        return Response(data, media_type=kind, headers=LASTING)

    def files(request: Request) -> Response:
        return JSONResponse(desk.files(request.path_params["cell"], _asked(request)))

    routes = [
        *(Route(path, partial(_file, *found)) for path, found in served.items()),
        Route("/told/home", told(desk.home)),
        Route("/told/study/{study}", told(desk.study, "study")),
        Route("/told/cell/{cell}", told(desk.about, "cell")),
        Route("/told/cell/{cell}/example/{index:int}", told(desk.example, "cell", "index")),
        Route("/told/cell/{cell}/files", files),
        Route("/told/cell/{cell}/examples", partial(columns, desk.examples)),
        Route("/told/cell/{cell}/labels", partial(columns, desk.labels)),
        Route("/told/cell/{cell}/scores",
              lambda r: columns(desk.scores, r, r.query_params.get("estimator") or None)),
        Route("/told/cell/{cell}/image/{place:int}", picture),
        Route("/told/cell/{cell}/sheet", sheet),
    ]  # fmt: skip
    guarded = [Middleware(Guard, token=token, port=port), Middleware(GZipMiddleware, minimum_size=2000)]
    return Starlette(
        routes=routes, middleware=guarded, exception_handlers={MemregError: _refused, Exception: _failed}
    )


class Guard:
    """Answers who has the token, on this machine, from this page; all others are refused.

    The token is the first part of every address. A cookie would go to every other server of this machine.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        _, token, path = f"{scope['path']}//".split("/", 2)
        answer = self._refusal(Request(scope), token)
        within = {**scope, "path": f"/{path[:-2]}", "raw_path": None}

        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {key.lower() for key, _ in message["headers"]}
                added = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *(h for h in added if h[0] not in own)]
            await send(message)

        await (answer or self._app)(within, receive, headed)

    def _refusal(self, request: Request, token: str) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self._hosts:
            return PlainTextResponse("this page is for this machine alone", 403)
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return PlainTextResponse("open the link that `memreg explore` printed: it has the token", 403)
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return PlainTextResponse("another site may not ask", 403)
        opened = request.url.path == f"/{token}/" and request.headers.get("sec-fetch-mode") == "navigate"
        if not opened and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("another site may not ask", 403)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this page only reads", 405)
        return None


def listening(registry: str) -> tuple[socket.socket, bool]:
    """A socket of this machine, and whether its port is the one that this registry has whenever it is free.

    Browsers keep what they keep, as marks of labels, by port. Who asks before `serve` answers waits.
    registry: its address.
    """
    own = FIRST_PORT + zlib.crc32(registry.encode()) % PORTS
    for port in (own, 0):
        opened = socket.socket()
        if os.name == "posix":  # elsewhere it would share the port with another program
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            opened.bind((HOST, port))
            opened.listen()
            return opened, port == own
        opened.close()
    raise MemregError(f"no port of {HOST} is free")


def serve(desk: Desk, on: socket.socket, token: str) -> None:
    """Answer until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(app(desk, token, on.getsockname()[1]), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[on])


def _index() -> str:
    scripts = "".join(f'<script src="{name}"></script>\n' for name in SCRIPTS)
    return filled(style=f'<link rel="stylesheet" href="{STYLE}">', scripts=scripts)


def _file(kind: str, text: str, request: Request) -> Response:
    return Response(text, media_type=kind)


def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _failed(request: Request, error: Exception) -> Response:
    """A store that is out of reach, say: the page shows why, and goes on."""
    return JSONResponse({"error": f"{type(error).__name__}: {one_line(error)}"}, 500)


def _asked(request: Request) -> list[int]:
    return _numbers(request.query_params.get("examples", ""))


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise MemregError("give whole numbers with commas between")
    return [int(number) for number in text.split(",")]
