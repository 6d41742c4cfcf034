"""The application: routes, errors, middleware and documentation put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from segops_orchestration.api.documented import document
from segops_orchestration.api.errors import handle_errors
from segops_orchestration.api.known_keys import KnownKeys
from segops_orchestration.api.metrics import Metrics
from segops_orchestration.api.middleware import RequestMiddleware
from segops_orchestration.api.origins import OriginMiddleware
from segops_orchestration.api.routes import ROUTERS
from segops_orchestration.api.services import Services
from segops_orchestration.api.tokens import TokenSigner
from segops_orchestration.api.user_paths import UserPathMiddleware
from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.secret_box import SecretBox
from segops_orchestration.settings import Settings
from segops_orchestration.warehouse.client import Warehouse

MAX_BODY_BYTES = 8 << 20

_DESCRIPTION = """\
Audience segmentation: send events, define segments, read who is in them, deliver them to platforms.

Authenticate with `Authorization: ApiKey sk_...` (a program of one tenant) or `Authorization: Bearer <token>` (a person;
`POST /api/auth/token/`). Errors are `{"detail": "..."}`, or `{"<path of a field>": ["..."]}`.
"""


def make_app(settings: Settings) -> FastAPI:
    """The application over the stores of these settings, which it opens when it starts and closes in the end."""

    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Catalog.open(settings) as catalog:
            warehouse = Warehouse.connect(settings)
            try:
                services = app.state.services = Services(
                    settings, catalog, warehouse, TokenSigner(SecretBox(settings)), metrics
                )
                try:
                    services.start()
                    yield
                finally:
                    services.close()
            finally:
                warehouse.close()

    app = FastAPI(
        title="SegOps",
        description=_DESCRIPTION,
        version=version("segops-orchestration"),
        lifespan=lifespan,
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.metrics = metrics
    app.state.known_keys = KnownKeys()
    handle_errors(app)
    app.add_middleware(UserPathMiddleware)
    app.add_middleware(OriginMiddleware)
    app.add_middleware(RequestMiddleware, max_body_bytes=MAX_BODY_BYTES, metrics=metrics)
    for router in ROUTERS:
        app.include_router(router, prefix="/api")
    document(app)

    @app.get("/", include_in_schema=False)
    @app.get("/api/", include_in_schema=False)
    def documentation() -> RedirectResponse:
        return RedirectResponse("/api/docs")

    return app
