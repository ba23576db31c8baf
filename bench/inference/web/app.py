"""The application: the page, its description, and `POST /predict`."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

import bench
from bench.errors import ArgumentError, RunError
from bench.inference.classifier import Classifier
from bench.inference.web import schema, uploads
from bench.inference.web.analysis import Options
from bench.inference.web.engine import Engine
from bench.inference.web.guard import Guard
from bench.inference.web.jobs import Job, Jobs, Stopped
from bench.inference.web.limits import Limits, Refused, busy, stopping, unexpected
from datamodules.audio import ENDINGS

PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
LINES = "application/x-ndjson"
LEAST_HOP = 0.05
"""Shortest hop, as a part of a clip."""
_TICK = 0.1  # seconds between two lines of progress


def create_app(
    models: Sequence[Classifier],
    *,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    amp: bool | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        models: that clients choose from; the first is the default.
        limits: of what clients may ask.
        host: the address that it is served at, whose names alone requests may use.
        token: what requests need; None lets everybody in who reaches the address.
        amp: whether to compute in mixed precision; None does on a GPU.

    Raises:
        RunError: there is no model, two have one name, or one takes embeddings.
    """
    limits = limits or Limits()
    engines = {model.name: Engine(model, amp) for model in models}
    if not engines or len(engines) < len(models):
        raise RunError("give each run once, and at least one")
    app = _application(engines, limits)
    return Guard(app, host, token, limits.retry_after)


def _application(engines: dict[str, Engine], limits: Limits) -> FastAPI:
    jobs = Jobs(limits)
    arriving = 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()

    app = FastAPI(
        title="Audio classification", version=bench.__version__, summary=schema.SUMMARY, lifespan=lifespan,
        docs_url=None, redoc_url=None, swagger_ui_oauth2_redirect_url=None, redirect_slashes=False,
    )  # fmt: skip
    _answer_errors(app)
    for path in PAGES:
        _add_page(app, path)

    known = [Depends(_refuse_unknown)]

    @app.get(
        "/runs", summary="List the runs that can be chosen, and the limits of a file", responses=schema.RUNS,
        dependencies=known,
    )  # fmt: skip
    async def runs() -> dict[str, Any]:
        return {
            "runs": [_facts(engine.model) for engine in engines.values()],
            "max_bytes": limits.max_bytes,
            "max_seconds": limits.max_seconds,
            "endings": ENDINGS,
        }

    @app.post(
        "/predict", summary="Classify one sound", openapi_extra=schema.BODY, responses=schema.PREDICT,
        dependencies=known,
    )  # fmt: skip
    async def predict(
        request: Request,
        run: Annotated[str | None, Query(description="A run of /runs; the first where it is left out.")] = None,
        top: Annotated[int, Query(ge=1, le=1000, description="Number of classes in the answer.")] = 10,
        hop: Annotated[
            float | None,
            Query(gt=0, le=1e6, allow_inf_nan=False, description=schema.HOP),
        ] = None,
        pictures: Annotated[bool, Query(description="Whether to add a waveform and a mel spectrogram.")] = False,
    ) -> Response:
        nonlocal arriving
        engine = _chosen(engines, run, hop)
        if arriving >= limits.uploads:
            raise busy(f"{arriving} files are arriving")
        arriving += 1
        try:
            upload = await uploads.receive(request, limits)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            arriving -= 1
        job = jobs.start(upload, engine, Options(top, hop, pictures))
        if LINES in request.headers.get("accept", ""):
            return StreamingResponse(_lines(job), media_type=LINES)
        return await _answer(request, job)

    return app


async def _refuse_unknown(request: Request) -> None:
    """Refuse a parameter that the address does not have, or that is given twice."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            words = f"there are {', '.join(known)}" if known else "this address has none"
            raise Refused(400, "parameter", f"there is no parameter {name[:80]!r}; {words}: see /docs")
        if given.count(name) > 1:
            raise Refused(400, "parameter", f"{name} is given {given.count(name)} times, and takes one value")


def _chosen(engines: dict[str, Engine], run: str | None, hop: float | None) -> Engine:
    name = next(iter(engines)) if run is None else run
    if name not in engines:
        raise Refused(422, "run", f"there is no run {name[:80]!r}: choose one of {', '.join(engines)}")
    least = LEAST_HOP * engines[name].model.clip_seconds
    if hop is not None and hop < least:
        raise Refused(422, "hop", f"a hop of {hop:g} s is too short for this run: give at least {least:g} s")
    try:
        engines[name].model.check_hop(hop)
    except ArgumentError as error:
        raise Refused(422, "hop", str(error)) from error
    return engines[name]


def _facts(model: Classifier) -> dict[str, Any]:
    return {
        "run": model.name,
        "classes": model.classes,
        "task": model.task,
        "sample_rate": model.rate(),
        "clip_seconds": model.clip_seconds,
        "device": model.device,
        "model": " + ".join(dict.fromkeys(record.run.model for record in model.records)),
        "dataset": ", ".join(dict.fromkeys(record.run.dataset for record in model.records)),
    }


async def _answer(request: Request, job: Job) -> Response:
    """Return the answer as one JSON object; the work stops when the client goes away."""
    gone = asyncio.ensure_future(_disconnected(request))
    work = asyncio.wrap_future(job.future)
    both: set[asyncio.Future[Any]] = {gone, work}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return Response(status_code=400)  # nobody reads it
        return JSONResponse(work.result())
    except Stopped:
        raise stopping() from None
    except Refused:
        raise
    except Exception as error:  # left to the framework, it would end the connection after the answer
        logging.getLogger("uvicorn.error").exception("Exception in a job")
        raise unexpected() from error
    finally:
        job.stop()
        gone.cancel()
        work.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _lines(job: Job) -> AsyncIterator[str]:
    """Yield progress, then the answer or its error, as lines of JSON; the work stops when the client goes away."""
    work = asyncio.wrap_future(job.future)
    try:
        while not work.done():
            yield _line({"progress": job.progress()})
            try:
                await asyncio.wait({work}, timeout=_TICK)
            except asyncio.CancelledError:  # as in `Guard`
                error = stopping()
                yield _line(error.content() | {"status": error.status})
                return
        try:
            yield _line({"answer": work.result()})
        except Refused as error:
            yield _line(error.content() | {"status": error.status})
        except (Stopped, asyncio.CancelledError):
            yield _line(stopping().content() | {"status": 503})
        except Exception:
            known = unexpected()
            logging.getLogger("uvicorn.error").exception("Exception in a job")
            yield _line(known.content() | {"status": known.status})
    finally:
        job.stop()
        work.cancel()


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")) + "\n"


def _add_page(app: FastAPI, path: str) -> None:
    name, media_type = PAGES[path]
    content = (files("bench.inference.web") / "page" / name).read_bytes()

    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type=media_type)


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.content(), error.status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        words = {
            404: "there is nothing at this address: the page is at /, its interface at /docs",
            405: f"{request.method} is not possible here: see /docs",
        }
        known = Refused(error.status_code, "http", words.get(error.status_code, str(error.detail)))
        return JSONResponse(known.content(), known.status, headers=error.headers)

    @app.exception_handler(Exception)
    async def other(_: Request, __: Exception) -> JSONResponse:
        known = unexpected()  # which is logged
        return JSONResponse(known.content(), known.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()[:5])
        return JSONResponse(Refused(422, "parameter", f"{found}: see /docs").content(), 422)
