"""Values of a definition reach ClickHouse as parameters: none is ever part of the SQL, and each arrives unharmed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segops_orchestration.compiler.moved import compile_moved
from segops_orchestration.compiler.parameters import instant_text
from segops_orchestration.compiler.segment import CompiledQuery, compile_members
from segops_orchestration.compiler.source import EVERYONE
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.values import kind_of
from segops_orchestration.errors import InvalidDocument
from segops_orchestration.warehouse.client import TenantWarehouse, Warehouse
from segops_orchestration_tests.oracle.case import (
    AT,
    Document,
    all_of,
    event_count,
    event_property,
    membership,
    monetary,
    recency,
    sequence,
    user_property,
)

NASTY = [
    "'; DROP TABLE events; --",
    '"quoted" `ticked`',
    "back\\slash \\n \\' \\0 \\",
    "\\",
    "line\nbreak\ttab\rreturn",
    "{at:String} {{x}} %s %(at)s $1 ?",
    "nul\0byte",
    "Ünï 用户 🎉 \u200f\u2028",
    "[1, 'a'] \\N NULL (tuple)",
    "/* comment */ -- # ",
    " ",
    "e\u0301 is not é",
]


@dataclass(frozen=True)
class Values:
    """What a marketer fills in."""

    event_type: str
    key: str
    text: str
    number: float
    days: float
    date: str
    amount: int = 7

    def document(self) -> Document:
        """Every position that takes a value. The shape is always the same."""
        path, text = as_path(self.key), self.text
        return all_of(
            event_count("gte", 3, self.event_type, window_days=self.days),
            recency("eq", max(1, int(self.days)), self.event_type),
            monetary("sum", "gte", self.number, path, event_type=self.event_type),
            sequence(self.event_type, self.event_type, window_days=self.days),
            sequence(self.event_type, self.event_type, strict=True),
            event_property(path, "eq", self.event_type, value=text),
            event_property(path, "between", self.event_type, value=self.number, value2=self.number),
            *(user_property(path, name, value=text) for name in ("neq", "contains", "starts_with", "ends_with")),
            user_property(path, "in", value=[text, self.number, True]),
            user_property(path, "gt", value=self.date),
            user_property(path, "matches_regex", value=re.escape(text)),
            membership("vip"),
            *self._extensions(path),
        )

    def _extensions(self, path: str) -> Iterator[Document]:
        """The same for what the extensions of the language add."""
        test = {"property": path, "operator": "eq", "value": self.text}
        span = {"last": self.amount, "unit": "hour"}
        step = {"event_type": self.event_type, "where": [test]}
        yield event_count("gte", 3, self.event_type, window=span, where=[test])
        yield event_count("gte", 3, self.event_type, window={"from_ago": self.amount + 1, "to_ago": 1, "unit": "day"})
        yield event_count("gte", 3, self.event_type, window={"from": self.date})
        yield sequence(step, self.event_type, within=span)
        yield sequence(step, step, within=span, strict=True)
        yield monetary("median", "gte", self.number, f"{path}[].a", event_type=self.event_type)
        yield user_property(path, "in_next", value=span)
        yield user_property(f"{path}[].a", "eq", value=self.text)
        yield event_property(path, "has_element", self.event_type, where=[test])
        yield {"type": "property_held", "property": path, "operator": "neq", "value": self.text, "at_least": span}
        yield {"type": "first_event", "event_type": self.event_type, "where": [test], "window": span}
        yield {
            "type": "regularity",
            "event_type": self.event_type,
            "period": span,
            "periods": 2,
            "min_periods": 2,
            "operator": "gte",
            "value": self.amount,
        }


def as_path(key: str) -> str:
    return key.replace(".", "\\.")


def compiled(document: Document, segment_id: int = 1) -> CompiledQuery:
    return compile_members(parse_definition(document), EVERYONE, lambda _: segment_id)


def flat(parameters: Mapping[str, Any]) -> set[Any]:
    return {item for value in parameters.values() for item in (value if isinstance(value, list) else [value])}


# Words of SQL, so that a value that did get in would be hard to tell from what belongs there.
fragments = st.sampled_from([*NASTY, "events", "user_id", "SELECT", ") OR 1 = 1", "c0_value", "event_type"])
texts = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), fragments)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30) | st.sampled_from(
    [text for text in NASTY if text.isprintable()]
)
values = st.builds(
    Values,
    event_type=names,
    key=texts.filter(lambda key: key and not key.endswith("[]")),
    text=texts.filter(lambda text: kind_of(text) == "other"),
    number=st.integers(-(10**20), 10**20) | st.decimals(-(10**6), 10**6, places=3).map(float),
    days=st.floats(0.001, 3650),
    date=st.datetimes().map(datetime.isoformat).map(lambda text: text[:19]),
    amount=st.integers(2, 100),
)
PLAIN = Values("order_placed", "total", "gold", 10, 7, "2026-01-31")


@given(values=values, segment_id=st.integers(1, 2**63 - 1))
def test_the_sql_is_the_same_whatever_the_values(values: Values, segment_id: int) -> None:
    try:
        query = compiled(values.document(), segment_id)
    except InvalidDocument:
        assume(False)  # a regular expression that RE2 has not

    assert query.sql == compiled(PLAIN.document()).sql
    assert {values.event_type, values.key, values.text, segment_id} <= flat(query.parameters)


@given(values=values)
def test_so_is_the_query_for_users_moved_by_time(values: Values) -> None:
    # One length of time for both, because limits that coincide are looked up once.
    document = replace(values, text="gold", days=7.5, amount=7).document()

    assert (
        compile_moved(parse_definition(document)).sql
        == compile_moved(parse_definition(replace(PLAIN, days=7.5).document())).sql
    )


def test_every_placeholder_is_bound_or_left_to_the_computation() -> None:
    query = compiled(PLAIN.document())

    assert set(re.findall(r"\{(\w+):", query.sql)) == {*query.parameters, "at"}


# What arrives


@pytest.fixture(scope="module")
def database(warehouse: Warehouse) -> Iterator[TenantWarehouse]:
    tenant = warehouse.tenant("t_values_are_bound")
    tenant.migrate()
    yield tenant
    tenant.drop()


def identify(database: TenantWarehouse, number: int, users: Mapping[str, Mapping[str, object]]) -> None:
    """One identification of each user, with ids from ``number`` on."""
    events(database, number, [(user_id, "context_identified", payload) for user_id, payload in users.items()])


def events(database: TenantWarehouse, number: int, happened: Sequence[tuple[str, str, Mapping[str, object]]]) -> None:
    rows = [
        [UUID(int=number + index), user_id, event_type, AT, json.dumps(payload)]
        for index, (user_id, event_type, payload) in enumerate(happened)
    ]
    database.insert("events", rows, ["event_id", "user_id", "event_type", "occurred_at", "payload"])


def select(database: TenantWarehouse, *conditions: Document) -> set[str]:
    query = compiled(all_of(*conditions))
    parameters = {**query.parameters, "at": instant_text(AT)}
    return {user_id for (user_id,) in database.query(query.sql, parameters).result_rows}


@pytest.mark.parametrize("text", NASTY)
def test_a_nasty_text_selects_those_who_have_it_and_nobody_else(database: TenantWarehouse, text: str) -> None:
    number = 10 * NASTY.index(text)
    key = f"k{number}"
    has, more, in_list, another = (f"{name} {number}" for name in ("has", "has more", "in a list", "has another"))
    identify(
        database,
        number,
        {has: {key: text}, more: {key: f"<{text}>"}, in_list: {key: ["other", text]}, another: {key: "other"}},
    )

    assert select(database, user_property(key, "eq", value=text)) == {has}
    assert select(database, user_property(key, "in", value=[text, "nothing"])) == {has}
    assert select(database, user_property(key, "in", value=[f"<{text}>", text])) == {has, more}
    assert select(database, user_property(key, "contains", value=text)) == {has, more, in_list}
    assert select(database, user_property(key, "starts_with", value=f"<{text}")) == {more}
    assert select(database, user_property(key, "ends_with", value=f"{text}>")) == {more}
    assert select(database, user_property(key, "is_set"), user_property(key, "neq", value=text)) == {
        more,
        in_list,
        another,
    }


@pytest.mark.parametrize("text", [text for text in NASTY if "\0" not in text])
def test_a_nasty_pattern_matches_itself(database: TenantWarehouse, text: str) -> None:
    number = 1_000 + NASTY.index(text)
    identify(database, number, {f"has {number}": {f"k{number}": f"<{text}>"}})

    pattern = f"^<{re.escape(text)}>$"

    assert select(database, user_property(f"k{number}", "matches_regex", value=pattern)) == {f"has {number}"}


@pytest.mark.parametrize("key", NASTY)
def test_a_nasty_property_is_found_under_its_name(database: TenantWarehouse, key: str) -> None:
    number = 2_000 + 10 * NASTY.index(key)
    identify(database, number, {f"has {number}": {"outer": {key: number}}})

    assert select(database, user_property(f"outer.{as_path(key)}", "eq", value=number)) == {f"has {number}"}


@pytest.mark.parametrize("event_type", [text for text in NASTY if text.isprintable()])
def test_a_nasty_event_type_is_found_by_its_name(database: TenantWarehouse, event_type: str) -> None:
    number = 3_000 + 10 * NASTY.index(event_type)
    events(
        database,
        number,
        [(f"did {number}", event_type, {"total": 7}), (f"did another {number}", f"{event_type}!", {"total": 7})],
    )

    assert select(database, event_count("gte", 1, event_type)) == {f"did {number}"}
    assert select(database, event_property("total", "eq", event_type, value=7)) == {f"did {number}"}


@settings(max_examples=30, deadline=None)
@given(data=st.data(), text=texts.filter(lambda text: kind_of(text) == "other"))
def test_any_text_arrives_unharmed(database: TenantWarehouse, data: st.DataObject, text: str) -> None:
    other = data.draw(texts.filter(lambda other: other != text))
    number = next(_numbers)
    key, has = f"k{number}", f"has {number}"
    identify(database, number, {has: {key: text}, f"has another {number}": {key: other}})

    assert select(database, user_property(key, "eq", value=text)) == {has}
    assert select(database, user_property(key, "in", value=[text])) == {has}


_numbers = count(10_000, step=10)
