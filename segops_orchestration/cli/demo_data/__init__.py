"""Real purchases to try SegOps on: the CDNOW sample, 69,659 purchases of 23,570 customers (see SOURCE.md).

The purchases are from 1997 and 1998. Every date is moved by one constant number of days, so that the last one is today
and windows such as "the last 30 days" have something in them; customers, quantities and amounts stay what they were.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import IO

LAST_DAY = date(1998, 6, 30)
CUSTOMERS = 23_570
PURCHASES = 69_659
_LATEST_DAYS = 30


@dataclass(frozen=True)
class Purchase:
    """One row of the sample. ``total`` is in US dollars, digit for digit as in the source."""

    customer_id: str
    day: date
    quantity: str
    total: str


@dataclass(frozen=True)
class DemoFiles:
    """CSV files written for the demo.

    Attributes:
        history: purchases up to and including ``cut``: customer_id, date, quantity, total.
        latest: the purchases after it, same columns.
        customers: one row a customer, dated at the first purchase: customer_id, date, cohort, first_order_total. The
            cohort is the month of the first purchase as in the source, 1997-01 to 1997-03: a label does not move.
        shift_days: days by which every date was moved.
        cut: last day of the history.
    """

    history: Path
    latest: Path
    customers: Path
    shift_days: int
    cut: date


def open_bundle() -> IO[str]:
    """The bundled CSV as it is: customer_id, date (YYYYMMDD, from 1997 and 1998), quantity, total."""
    packed = files(__name__).joinpath("purchases.csv.gz").open("rb")
    return io.TextIOWrapper(gzip.GzipFile(fileobj=packed), encoding="ascii", newline="")


def load_purchases(today: date | None = None) -> Iterator[Purchase]:
    """The purchases in the order of the source (by customer, then by day), moved so that the last day is ``today``.

    Args:
        today: a day in UTC; None is the current one.
    """
    shift = _shift(today)
    with open_bundle() as bundle:
        for row in csv.DictReader(bundle):
            text = row["date"]
            day = date(int(text[:4]), int(text[4:6]), int(text[6:])) + shift
            yield Purchase(row["customer_id"], day, row["quantity"], row["total"])


def write_demo_files(directory: Path, today: date | None = None) -> DemoFiles:
    """Write the sample as three CSV files, in order of time; the same day gives the same bytes."""
    today = today or datetime.now(UTC).date()
    purchases = sorted(load_purchases(today), key=lambda purchase: purchase.day)
    cut = today - timedelta(days=_LATEST_DAYS)
    directory.mkdir(parents=True, exist_ok=True)
    written = DemoFiles(
        history=directory / "purchases-1.csv",
        latest=directory / "purchases-2.csv",
        customers=directory / "customers.csv",
        shift_days=_shift(today).days,
        cut=cut,
    )
    columns = ("customer_id", "date", "quantity", "total")
    _write(written.history, columns, (_row(each) for each in purchases if each.day <= cut))
    _write(written.latest, columns, (_row(each) for each in purchases if each.day > cut))
    columns = ("customer_id", "date", "cohort", "first_order_total")
    _write(written.customers, columns, _first_orders(purchases, _shift(today)))
    return written


def _shift(today: date | None) -> timedelta:
    return (today or datetime.now(UTC).date()) - LAST_DAY


def _row(purchase: Purchase) -> tuple[str, ...]:
    return (purchase.customer_id, purchase.day.isoformat(), purchase.quantity, purchase.total)


def _first_orders(purchases: Iterable[Purchase], shift: timedelta) -> Iterator[tuple[str, ...]]:
    seen: set[str] = set()
    for each in purchases:
        if each.customer_id not in seen:
            seen.add(each.customer_id)
            yield (each.customer_id, each.day.isoformat(), f"{each.day - shift:%Y-%m}", each.total)


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
