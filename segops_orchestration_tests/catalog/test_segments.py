from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.database import connect
from segops_orchestration.catalog.tables import SegmentVersionRow
from segops_orchestration.dsl.parse import parse_definition
from segops_orchestration.dsl.segment_file import SegmentDocument
from segops_orchestration.errors import Conflict, InvalidDocument, NotFound
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import NOON, Clock, document, save


def problems(failure: pytest.ExceptionInfo[InvalidDocument]) -> list[str]:
    return [str(problem) for problem in failure.value.problems]


def test_a_saved_document_is_a_segment_of_version_one(acme: Catalog) -> None:
    [result] = acme.save_segments("acme", [document("vip", name="VIP", description="Spend most")])

    segment = result.segment
    assert result.outcome == "created"
    assert (segment.tenant, segment.slug, segment.name, segment.description) == ("acme", "vip", "VIP", "Spend most")
    assert (segment.segment_type, segment.status, segment.version) == ("rule", "active", 1)
    assert (segment.created_at, segment.updated_at) == (NOON, NOON)
    assert segment.definition["conditions"][0]["event_type"] == "order_placed"


def test_a_segment_is_found_by_slug_and_by_id(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))

    assert acme.get_segment("acme", "vip") == acme.get_segment("acme", vip.id) == vip


def test_a_changed_definition_is_a_new_version(acme: Catalog, clock: Clock) -> None:
    save(acme, document("vip", orders=1))
    clock.move(60)

    [result] = acme.save_segments("acme", [document("vip", orders=2)])

    assert (result.outcome, result.segment.version) == ("versioned", 2)
    assert result.segment.definition["conditions"][0]["value"] == 2
    assert (result.segment.created_at, result.segment.updated_at) == (NOON, NOON + timedelta(minutes=1))


def test_a_changed_name_or_description_is_an_update_without_a_version(acme: Catalog) -> None:
    save(acme, document("vip", name="VIP"))

    [renamed] = acme.save_segments("acme", [document("vip", name="Best")])
    [described] = acme.save_segments("acme", [document("vip", name="Best", description="Spend most")])

    assert [renamed.outcome, described.outcome] == ["updated", "updated"]
    assert (described.segment.name, described.segment.description) == ("Best", "Spend most")
    assert [version.version for version in acme.versions("acme", "vip")] == [1]


def test_an_unchanged_document_makes_no_version_and_touches_nothing(acme: Catalog, clock: Clock) -> None:
    [before] = save(acme, document("vip"))
    clock.move(60)

    [result] = acme.save_segments("acme", [document("vip")])

    assert result.outcome == "unchanged"
    assert result.segment == before == acme.get_segment("acme", "vip")


def test_the_same_definition_written_differently_is_unchanged(acme: Catalog) -> None:
    save(acme, document("vip", orders=2))
    same = parse_definition(
        {
            "conditions": [{"value": 2, "operator": "gte", "event_type": "order_placed", "type": "event_count"}],
            "logic": "AND",
        }
    )

    [result] = acme.save_segments("acme", [SegmentDocument(slug="vip", name="vip", description="", definition=same)])

    assert result.outcome == "unchanged"


def test_earlier_versions_read_as_they_were_saved(acme: Catalog, clock: Clock) -> None:
    for orders in (1, 2, 3):
        save(acme, document("vip", orders=orders))
        clock.move(60)

    versions = acme.versions("acme", "vip")

    assert [(one.version, one.definition["conditions"][0]["value"]) for one in versions] == [(1, 1), (2, 2), (3, 3)]
    assert [one.created_at for one in versions] == [NOON + timedelta(minutes=minute) for minute in range(3)]


def test_a_version_cannot_be_changed_or_deleted(acme: Catalog, catalog_settings: Settings) -> None:
    [vip] = save(acme, document("vip"))
    engine = connect(catalog_settings.database_url)

    with Session(engine) as session:
        session.get_one(SegmentVersionRow, (vip.id, 1)).definition = "{}"
        with pytest.raises(TypeError, match="immutable"):
            session.flush()
    with Session(engine) as session:
        session.delete(session.get_one(SegmentVersionRow, (vip.id, 1)))
        with pytest.raises(TypeError, match="immutable"):
            session.flush()
    engine.dispose()


def test_results_come_in_the_order_of_the_documents(acme: Catalog) -> None:
    save(acme, document("b"))

    results = acme.save_segments("acme", [document("c"), document("b", orders=9), document("a")])

    assert [(one.segment.slug, one.outcome) for one in results] == [
        ("c", "created"),
        ("b", "versioned"),
        ("a", "created"),
    ]


def test_two_tenants_use_the_same_slug_independently(acme: Catalog) -> None:
    acme.create_tenant("beta")
    [ours] = save(acme, document("vip", orders=1))
    [theirs] = save(acme, document("vip", orders=2), tenant="beta")

    assert ours.id != theirs.id
    assert acme.get_segment("acme", "vip") == ours
    with pytest.raises(NotFound):
        acme.get_segment("acme", theirs.id)


@pytest.mark.parametrize("slug", ["a", "7", "vip", "big-spenders_2", "a" * 63])
def test_a_slug_that_can_be_a_partition_key_is_allowed(acme: Catalog, slug: str) -> None:
    assert [segment.slug for segment in save(acme, document(slug))] == [slug]


@pytest.mark.parametrize(
    "slug", ["", "VIP", "-vip", "_vip", "vip/gold", "a...b", "vip gold", "vip\n", "a" * 64, "vipé"]
)
def test_any_other_slug_is_refused_with_the_rule(acme: Catalog, slug: str) -> None:
    with pytest.raises(InvalidDocument, match=r"slug: .* is not allowed; 1 to 63 characters"):
        save(acme, document(slug))

    assert acme.list_segments("acme") == []


def test_a_slug_given_twice_in_one_call_is_refused(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument, match="slug vip: slug: given twice in one call"):
        save(acme, document("vip"), document("vip", orders=2))


def test_an_unknown_segment_is_not_found_and_the_nearest_spelling_named(acme: Catalog) -> None:
    save(acme, document("big-spenders"))

    with pytest.raises(NotFound) as failure:
        acme.get_segment("acme", "big_spender")

    assert str(failure.value) == "no segment 'big_spender' in tenant 'acme'; did you mean 'big-spenders'?"


def test_a_number_as_text_is_a_slug_not_an_id(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))

    with pytest.raises(NotFound):
        acme.get_segment("acme", str(vip.id))


# References


def test_a_reference_to_an_unknown_segment_is_refused_at_its_path(acme: Catalog) -> None:
    save(acme, document("vip"))

    with pytest.raises(InvalidDocument) as failure:
        save(acme, document("gold", refers_to=["vip", "viip"]))

    assert problems(failure) == [
        "slug gold: definition.conditions[2].segment_id: no segment 'viip' in tenant 'acme'; did you mean 'vip'?"
    ]


def test_a_problem_names_the_source_that_the_caller_gave(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument) as failure:
        acme.save_segments("acme", [document("gold", refers_to=["vip"])], sources={"gold": "gold.yaml"})

    assert problems(failure) == ["gold.yaml: definition.conditions[1].segment_id: no segment 'vip' in tenant 'acme'"]


def test_a_reference_inside_group_and_not_is_found(acme: Catalog) -> None:
    membership = {"type": "segment_membership", "segment_id": "viip", "operator": "in"}
    nested = {
        "logic": "AND",
        "conditions": [
            {"type": "not", "condition": {"type": "group", "logic": "OR", "conditions": [membership, membership]}}
        ],
    }
    nested_document = SegmentDocument(slug="gold", name="gold", description="", definition=parse_definition(nested))

    with pytest.raises(InvalidDocument) as failure:
        save(acme, nested_document)

    assert [problem.path for problem in failure.value.problems] == [
        "slug gold: definition.conditions[0].condition.conditions[0].segment_id",
        "slug gold: definition.conditions[0].condition.conditions[1].segment_id",
    ]


def test_a_reference_by_id_is_to_the_tenants_own_segment(acme: Catalog) -> None:
    acme.create_tenant("beta")
    [theirs] = save(acme, document("vip"), tenant="beta")
    [ours] = save(acme, document("vip"))

    save(acme, document("gold", refers_to=[ours.id]))
    with pytest.raises(InvalidDocument, match=rf"no segment {theirs.id} in tenant 'acme'"):
        save(acme, document("silver", refers_to=[theirs.id]))


def test_documents_of_one_call_may_refer_to_each_other_in_any_order(acme: Catalog) -> None:
    saved = save(acme, document("gold", refers_to=["vip"]), document("vip"))

    assert [segment.slug for segment in saved] == ["gold", "vip"]


def test_a_refused_call_saves_nothing_at_all(acme: Catalog, clock: Clock) -> None:
    before = save(acme, document("a"), document("b"))
    clock.move(60)

    with pytest.raises(InvalidDocument):
        save(acme, document("a", orders=2), document("b", name="B"), document("new"), document("bad", refers_to=["x"]))

    assert acme.list_segments("acme") == before
    assert [version.version for version in acme.versions("acme", "a")] == [1]


def test_every_problem_of_a_call_is_told_at_once(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument) as failure:
        save(acme, document("b", refers_to=["x"]), document("a", refers_to=["y"]), document("c", refers_to=["c"]))

    assert problems(failure) == [
        "slug b: definition.conditions[1].segment_id: no segment 'x' in tenant 'acme'",
        "slug a: definition.conditions[1].segment_id: no segment 'y' in tenant 'acme'",
        "slug c: definition.conditions[1].segment_id: segments refer to each other in a cycle: c -> c",
    ]


def test_a_cycle_is_named_in_order(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument) as failure:
        save(acme, document("a", refers_to=["b"]), document("b", refers_to=["c"]), document("c", refers_to=["a"]))

    assert problems(failure) == [
        "slug a: definition.conditions[1].segment_id: segments refer to each other in a cycle: a -> b -> c -> a"
    ]


def test_a_cycle_through_segments_saved_earlier_is_found(acme: Catalog) -> None:
    save(acme, document("a"))
    save(acme, document("b", refers_to=["a"]))
    save(acme, document("c", refers_to=["b"]))

    with pytest.raises(InvalidDocument, match="a -> c -> b -> a"):
        save(acme, document("a", refers_to=["c"]))


def test_a_cycle_by_id_is_found(acme: Catalog) -> None:
    [a] = save(acme, document("a"))
    save(acme, document("b", refers_to=[a.id]))

    with pytest.raises(InvalidDocument, match="a -> b -> a"):
        save(acme, document("a", refers_to=["b"]))


def test_two_separate_cycles_are_both_told(acme: Catalog) -> None:
    with pytest.raises(InvalidDocument) as failure:
        save(
            acme,
            document("a", refers_to=["b"]),
            document("b", refers_to=["a"]),
            document("x", refers_to=["y"]),
            document("y", refers_to=["x"]),
        )

    assert sorted(problem.message[-11:] for problem in failure.value.problems) == ["a -> b -> a", "x -> y -> x"]


def test_segments_that_meet_again_without_a_cycle_are_allowed(acme: Catalog) -> None:
    saved = save(
        acme,
        document("top", refers_to=["left", "right"]),
        document("left", refers_to=["base"]),
        document("right", refers_to=["base"]),
        document("base"),
    )

    assert len(saved) == 4


def test_a_chain_of_a_thousand_references_is_no_trouble(acme: Catalog) -> None:
    chain = [document(f"s{place}", refers_to=[f"s{place + 1}"]) for place in range(1000)]

    assert len(save(acme, *chain, document("s1000"))) == 1001


# Archiving


def test_an_archived_segment_is_listed_only_when_asked_for(acme: Catalog) -> None:
    save(acme, document("a"), document("b"))

    assert acme.archive_segment("acme", "a").status == "archived"

    assert [segment.slug for segment in acme.list_segments("acme")] == ["b"]
    assert [segment.slug for segment in acme.list_segments("acme", include_archived=True)] == ["a", "b"]
    assert acme.get_segment("acme", "a").status == "archived"


def test_a_segment_in_use_is_not_archived_and_its_users_are_named(acme: Catalog) -> None:
    [vip] = save(acme, document("vip"))
    save(acme, document("gold", refers_to=["vip"]), document("silver", refers_to=[vip.id]))

    with pytest.raises(Conflict) as failure:
        acme.archive_segment("acme", "vip")

    assert str(failure.value) == "segment 'vip' of tenant 'acme' is used by gold, silver: change them first"
    assert acme.get_segment("acme", "vip") == vip


def test_a_segment_whose_users_are_archived_can_be_archived(acme: Catalog) -> None:
    save(acme, document("vip"), document("gold", refers_to=["vip"]))
    acme.archive_segment("acme", "gold")

    assert acme.archive_segment("acme", "vip").status == "archived"


def test_a_reference_to_an_archived_segment_is_refused(acme: Catalog) -> None:
    save(acme, document("vip"))
    acme.archive_segment("acme", "vip")

    with pytest.raises(InvalidDocument, match="segment 'vip' of tenant 'acme' is archived"):
        save(acme, document("gold", refers_to=["vip"]))


def test_saving_an_archived_slug_takes_it_back_as_a_new_version(acme: Catalog) -> None:
    [before] = save(acme, document("vip"))
    acme.archive_segment("acme", "vip")

    [result] = acme.save_segments("acme", [document("vip")])

    assert (result.outcome, result.segment.status, result.segment.version) == ("restored", "active", 2)
    assert (result.segment.id, result.segment.definition) == (before.id, before.definition)


def test_a_segment_taken_back_must_have_its_references_in_use(acme: Catalog) -> None:
    save(acme, document("vip"), document("gold", refers_to=["vip"]))
    acme.archive_segment("acme", "gold")
    acme.archive_segment("acme", "vip")

    with pytest.raises(InvalidDocument, match="'vip' of tenant 'acme' is archived"):
        save(acme, document("gold", refers_to=["vip"]))
    assert len(save(acme, document("gold", refers_to=["vip"]), document("vip"))) == 2


def test_archiving_twice_is_once(acme: Catalog, clock: Clock) -> None:
    save(acme, document("vip"))
    archived = acme.archive_segment("acme", "vip")
    clock.move(60)

    assert acme.archive_segment("acme", "vip") == archived


def test_a_version_says_who_made_it_and_an_unchanged_save_changes_nobody(acme: Catalog) -> None:
    acme.save_segments("acme", [document("vip")], created_by="ada@example.com")
    acme.save_segments("acme", [document("vip")], created_by="bob@example.com")
    acme.save_segments("acme", [document("vip", orders=2)])

    assert [one.created_by for one in acme.versions("acme", "vip")] == ["ada@example.com", None]
