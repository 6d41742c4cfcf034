"""What the extensions of the language accept, and what is said of their faults."""

from __future__ import annotations

from typing import Any

import pytest

from segops_orchestration.dsl import models
from segops_orchestration.dsl.parse import canonical_json, parse_definition
from segops_orchestration.dsl.windows import MOST
from segops_orchestration_tests.dsl.documents import (
    EVENT_COUNT,
    EVENT_PROPERTY,
    EVENT_SEQUENCE,
    FIRST_EVENT,
    HAS_ELEMENT,
    IS_GOLD,
    MONETARY,
    PROPERTY_HELD,
    RECENCY,
    REGULARITY,
    USER_PROPERTY,
    WEEK,
    definition,
    faults,
    parsed,
    without,
)
from segops_orchestration_tests.dsl.planted import PLANTED, Planted, held_in


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.condition['type']}.{planted.path}")
def test_a_fault_is_told_at_its_path(planted: Planted) -> None:
    ((path, message),) = faults(planted.condition).items()
    assert path == f"conditions[0].{planted.path}"
    assert message.startswith(planted.message)


class TestWindows:
    @pytest.mark.parametrize("base", [EVENT_COUNT, MONETARY, EVENT_PROPERTY, EVENT_SEQUENCE])
    def test_stand_instead_of_window_days(self, base: dict[str, Any]) -> None:
        assert parsed(base | {"window": WEEK}).window == models.Duration(last=7, unit="day")
        assert parsed(base | {"window": None}) == parsed(base)

    @pytest.mark.parametrize("unit", MOST)
    def test_reach_as_far_as_3650_days(self, unit: str) -> None:
        assert parsed(EVENT_COUNT | {"window": {"last": MOST[unit], "unit": unit}}).window.unit == unit

    @pytest.mark.parametrize("window", [{"from": "2026-01-01"}, {"to": "2026-01-31T12:00Z"}])
    def test_of_instants_may_be_open_on_one_side(self, window: dict[str, str]) -> None:
        held = parsed(EVENT_COUNT | {"window": window}).window
        assert (held.from_, held.to) == (window.get("from"), window.get("to"))

    @pytest.mark.parametrize("window", [{"from_ago": 1}, {"to_ago": 0}, {"to_ago": 3650}, {"from_ago": 2, "to_ago": 1}])
    def test_of_ages_may_be_open_on_one_side(self, window: dict[str, int]) -> None:
        held = parsed(EVENT_COUNT | {"window": window | {"unit": "day"}}).window
        assert (held.from_ago, held.to_ago) == (window.get("from_ago"), window.get("to_ago"))

    def test_are_written_as_they_were_read(self) -> None:
        window = {"from": "2026-01-01", "to": "2026-02-01"}
        text = canonical_json(parse_definition(definition(EVENT_COUNT | {"window": window})))
        assert '"window":{"from":"2026-01-01","to":"2026-02-01"}' in text

    def test_and_days_of_an_amount_are_days(self) -> None:
        assert parsed(MONETARY | {"window_days": 0.5}).window_days == 0.5


class TestWhere:
    @pytest.mark.parametrize("base", [EVENT_COUNT, RECENCY, MONETARY, EVENT_PROPERTY, FIRST_EVENT, REGULARITY])
    def test_narrows_the_events_of_a_condition(self, base: dict[str, Any]) -> None:
        assert parsed(base | {"where": [IS_GOLD]}).where == (models.Filter(**IS_GOLD),)

    def test_narrows_a_step_of_a_sequence(self) -> None:
        events = ["a", {"event_type": "b", "where": [IS_GOLD]}]
        assert [step.event_type for step in parsed(EVENT_SEQUENCE | {"events": events}).steps] == ["a", "b"]

    def test_a_step_without_filters_is_its_event_type(self) -> None:
        assert parsed(EVENT_SEQUENCE | {"events": [{"event_type": "a"}, "b"]}).events == ("a", "b")

    @pytest.mark.parametrize("base", [HAS_ELEMENT, PROPERTY_HELD | HAS_ELEMENT | {"type": "property_held"}])
    def test_is_about_elements_with_has_element(self, base: dict[str, Any]) -> None:
        assert parsed(without(base, "value")).where == (models.Filter(**IS_GOLD),)

    def test_holds_up_to_100_filters_and_8_levels(self) -> None:
        assert not faults(EVENT_COUNT | {"where": [IS_GOLD] * 100})
        assert not faults(held_in(8))

    def test_fits_into_the_deepest_group(self) -> None:
        document = EVENT_COUNT | {"where": [IS_GOLD]}
        for _ in range(7):
            document = {"type": "not", "condition": document}
        assert not faults(document)


def test_a_regularity_reaches_back_at_most_3650_days() -> None:
    assert not faults(REGULARITY | {"period": {"last": 60, "unit": "day"}, "periods": 60})
    assert not faults(REGULARITY | {"period": {"last": 2, "unit": "month"}, "periods": 60})


def test_a_property_is_held_for_at_least_or_for_less_than_a_time() -> None:
    held = parsed(without(PROPERTY_HELD, "at_least") | {"less_than": WEEK})
    assert (held.at_least, held.less_than) == (None, models.Duration(last=7, unit="day"))


@pytest.mark.parametrize("operator", ["in_last", "in_next", "before_last"])
def test_a_date_is_compared_with_a_span_of_time(operator: str) -> None:
    assert parsed(USER_PROPERTY | {"operator": operator, "value": WEEK}).value == models.Duration(last=7, unit="day")


def test_the_public_language_is_written_as_ever() -> None:
    conditions = [
        EVENT_COUNT | {"window_days": 90},
        RECENCY,
        MONETARY,
        EVENT_PROPERTY | {"operator": "between", "value2": 20.0},
        USER_PROPERTY | {"operator": "in", "value": ["a", 1, True]},
        EVENT_SEQUENCE | {"strict": True},
    ]
    assert canonical_json(parse_definition(definition(*conditions))) == (
        '{"conditions":['
        '{"event_type":"order_placed","operator":"gte","type":"event_count","value":3,"window_days":90},'
        '{"event_type":"order_placed","operator":"gt","type":"recency","window_days":30},'
        '{"event_type":"order_placed","metric":"sum","operator":"gte","property":"total","type":"monetary","value":500},'
        '{"event_type":"order_placed","operator":"between","property":"total","type":"event_property","value":10,'
        '"value2":20},'
        '{"operator":"in","property":"city","type":"user_property","value":["a",1,true]},'
        '{"events":["cart_updated","order_placed"],"strict":true,"type":"event_sequence"}'
        '],"logic":"AND"}'
    )
