"""What saving would do, told beforehand, and archiving what no document speaks of."""

from __future__ import annotations

import pytest

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.errors import Conflict, InvalidDocument
from segops_orchestration_tests.catalog.helpers import document, save


@pytest.fixture
def kept(acme: Catalog) -> Catalog:
    """Four segments, of which ``old`` is archived and ``gold`` refers to ``vip``."""
    save(acme, document("vip"), document("gold", refers_to=["vip"]), document("plain"), document("old"))
    acme.archive_segment("acme", "old")
    return acme


def test_a_plan_tells_the_outcome_of_every_document_and_of_what_is_left_alone(kept: Catalog) -> None:
    documents = [
        document("new", refers_to=["gold"]),
        document("vip", orders=2),
        document("gold", refers_to=["vip"], name="Gold"),
        document("old"),
    ]

    changes = kept.plan_segments("acme", documents)

    assert [(one.slug, one.outcome) for one in changes] == [
        ("new", "created"),
        ("vip", "versioned"),
        ("gold", "updated"),
        ("old", "restored"),
        ("plain", "unchanged"),
    ]
    assert (changes[0].segment, changes[4].document) == (None, None)
    saved = kept.save_segments("acme", documents)
    assert [one.outcome for one in saved] == [one.outcome for one in changes[:4]]


def test_a_plan_changes_nothing(kept: Catalog) -> None:
    before = kept.list_segments("acme", include_archived=True)

    kept.plan_segments("acme", [document("new"), document("vip", orders=2)], prune=True)

    assert kept.list_segments("acme", include_archived=True) == before


def test_a_plan_refuses_what_saving_would_refuse(kept: Catalog) -> None:
    wrong = [document("a", refers_to=["b"]), document("b", refers_to=["a"]), document("c", refers_to=["vipp"])]

    with pytest.raises(InvalidDocument) as planned:
        kept.plan_segments("acme", wrong, sources={"a": "a.yaml"})
    with pytest.raises(InvalidDocument) as saved:
        kept.save_segments("acme", wrong, sources={"a": "a.yaml"})

    assert str(planned.value) == str(saved.value)
    assert "a -> b -> a" in str(planned.value)
    assert "did you mean 'vip'?" in str(planned.value)


def test_an_archived_tenant_has_no_plan(kept: Catalog) -> None:
    kept.archive_tenant("acme")

    with pytest.raises(Conflict, match="takes no changes"):
        kept.plan_segments("acme", [document("new")])


def test_pruning_archives_what_no_document_speaks_of(kept: Catalog) -> None:
    documents = [document("vip")]

    planned = kept.plan_segments("acme", documents, prune=True)
    saved = kept.save_segments("acme", documents, prune=True)

    expected = [("vip", "unchanged"), ("gold", "archived"), ("plain", "archived")]
    assert [(one.slug, one.outcome) for one in planned] == expected
    assert [(one.segment.slug, one.outcome) for one in saved] == expected
    assert [one.slug for one in kept.list_segments("acme")] == ["vip"]


def test_pruning_what_a_document_refers_to_is_refused_and_nothing_is_saved(kept: Catalog) -> None:
    documents = [document("gold", refers_to=["vip"], orders=7)]

    for attempt in (kept.plan_segments, kept.save_segments):
        with pytest.raises(InvalidDocument) as failure:
            attempt("acme", documents, sources={"gold": "gold.yaml"}, prune=True)
        assert str(failure.value) == (
            "gold.yaml: definition.conditions[1].segment_id: segment 'vip' of tenant 'acme' is in none of these "
            "files, so it would be archived"
        )
    assert [one.slug for one in kept.list_segments("acme")] == ["gold", "plain", "vip"]
