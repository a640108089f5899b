"""The shop over HTTP."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from asyncpg import InterfaceError, PostgresError
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from examples.shop import books, placing
from examples.shop.database import Pool
from examples.shop.orders import Status, Stock
from examples.shop.placing import AnotherOrder, OutOfStock, Refusal, Unknown, Wish

MOST_LINES: Final = 50
MOST_PIECES: Final = 1_000
"""Of one sku in one order."""

OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
Email = Annotated[str, Field(max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$")]


class Item(BaseModel):
    """How many of what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku: Name
    quantity: Annotated[int, Field(ge=1, le=MOST_PIECES)]


class PlaceOrder(BaseModel):
    """An order as a customer gives it. Prices are the catalogue's.

    With ``order_id`` the client may ask again after a lost answer: there will be one order.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: OrderId | None = None
    customer_id: Name
    email: Email
    items: Annotated[list[Item], Field(min_length=1, max_length=MOST_LINES)]
    payment_method: Name
    off_session: bool = False

    def wish(self) -> Wish:
        """Return what is wished for, each sku once."""
        lines = Counter[str]()
        for item in self.items:
            lines[item.sku] += item.quantity
        return Wish(self.order_id, self.customer_id, self.email, lines, self.payment_method, self.off_session)


class OrderedItem(BaseModel):
    """What was ordered, at the price of that moment."""

    sku: str
    quantity: int
    price_cents: int


class OrderView(BaseModel):
    """An order as it is. Amounts are in cents."""

    order_id: str
    status: Status
    stock: Stock
    customer_id: str
    items: list[OrderedItem]
    payment_method: str
    off_session: bool
    amount_cents: int
    currency: str
    paid_cents: int
    refunded_cents: int
    payment_id: UUID | None
    reason: str | None
    placed_at: datetime


ANSWERS: Final = (
    (Unknown, HTTPStatus.NOT_FOUND),
    (OutOfStock, HTTPStatus.CONFLICT),
    (AnotherOrder, HTTPStatus.CONFLICT),
)
"""What a refusal is over HTTP; any other is 422."""


def application(pool: Pool, listens: Callable[[], bool]) -> FastAPI:
    """Return the shop; ``listens`` says whether facts are heard from Kafka."""
    app = FastAPI(title="Shop", version="1.0.0")
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    for away in (PostgresError, InterfaceError, OSError):
        app.add_exception_handler(away, _database_away)
    _orders(app, pool)
    _probes(app, pool, listens)
    return app


def _orders(app: FastAPI, pool: Pool) -> None:
    @app.post("/orders", status_code=HTTPStatus.CREATED, response_model=OrderView)
    async def place(wanted: PlaceOrder, response: Response) -> dict[str, Any]:
        """Place an order: 201; 200 where it was placed before."""
        order_id, is_new = await placing.place(pool, wanted.wish())
        if not is_new:
            response.status_code = HTTPStatus.OK
        return await books.one_order(pool, order_id)

    @app.get("/orders", response_model=list[OrderView])
    async def page(
        status: Status | None = None, after: Annotated[OrderId | None, Query()] = None
    ) -> list[dict[str, Any]]:
        """Read orders by their ids, a hundred at a time: ``after`` is the last one of the page before."""
        return await books.page_of_orders(pool, status, after)

    @app.get("/orders/{order_id}", response_model=OrderView)
    async def one(order_id: Annotated[OrderId, Path()]) -> dict[str, Any]:
        """Read one order."""
        return await books.one_order(pool, order_id)

    @app.post("/orders/{order_id}/cancel", response_model=OrderView)
    async def cancel(order_id: Annotated[OrderId, Path()]) -> dict[str, Any]:
        """Cancel an order, paid or not: what was paid, or will be, is given back. Twice is once."""
        await placing.cancel(pool, order_id)
        return await books.one_order(pool, order_id)

    @app.get("/books")
    async def whole_books() -> dict[str, Any]:
        """Read all that the shop holds to be true, as of one moment."""
        return await books.books(pool)


def _probes(app: FastAPI, pool: Pool, listens: Callable[[], bool]) -> None:
    @app.get("/healthz")
    async def healthy() -> dict[str, str]:
        """Say that the process lives, whatever the database does."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready(response: Response) -> dict[str, str]:
        """Say of each thing that is needed whether it is there: 503 where one is not."""
        found = {"database": await _state_of(pool), "kafka": "ok" if listens() else "not joined"}
        if set(found.values()) != {"ok"}:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return found


async def _state_of(pool: Pool) -> str:
    try:
        await pool.fetchval("SELECT 1")
    except (PostgresError, InterfaceError, OSError) as error:
        return type(error).__name__
    return "ok"


async def _refused(_request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    status = next((status for kind, status in ANSWERS if isinstance(refusal, kind)), HTTPStatus.UNPROCESSABLE_ENTITY)
    about = {} if refusal.sku is None else {"sku": refusal.sku}
    return JSONResponse({"detail": str(refusal), **about}, status)


async def _not_understood(_request: Request, error: Exception) -> JSONResponse:
    """Name the fields at fault without what stood in them: FastAPI's own answer repeats it, and breaks at NaN."""
    assert isinstance(error, RequestValidationError)
    fields = [".".join(str(part) for part in one["loc"]) for one in error.errors()]
    return JSONResponse({"detail": "not an order of this shape", "fields": fields}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _database_away(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "try again"}, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})
