"""``segops plan``: what it prints, and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from segops_orchestration_tests.cli.conftest import Segops
from segops_orchestration_tests.cli.shop import BIG, ORDERED, Condition, Shop, member_of


def write(directory: Path, slug: str, *conditions: Condition, name: str | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{slug}.yaml"
    definition = {"logic": "AND", "conditions": list(conditions)}
    path.write_text(yaml.safe_dump({"slug": slug, "name": name or slug, "definition": definition}))
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Buyers, those of them who spent much, and of these again all."""
    directory = tmp_path / "segments"
    write(directory, "buyers", ORDERED)
    write(directory, "vip", BIG)
    write(directory, "gold", member_of("vip"), ORDERED)
    return directory


@pytest.fixture
def computed(segops: Segops, shop: Shop, files: Path) -> Shop:
    """The files are applied and computed: ann, bob and cid buy, ann and bob spend much."""
    shop.orders("ann", total=700)
    shop.orders("bob", total=500)
    shop.orders("cid")
    assert segops("segments", "apply", shop.slug, files).exit_code == 0
    assert segops("compute", shop.slug).exit_code == 0
    return shop


def test_a_plan_shows_each_segment_with_who_would_enter_and_leave(segops: Segops, computed: Shop, files: Path) -> None:
    write(files, "vip", {**BIG, "value": 600})
    write(files, "new", {**ORDERED, "value": 2})
    write(files, "buyers", ORDERED, name="Buyers")
    computed.define("other", ORDERED)

    answer = segops("plan", computed.slug, files)

    assert answer.exit_code == 0
    table, said = answer.out.splitlines()[:6], answer.out.splitlines()[6:]
    assert [line.split() for line in table] == [
        ["segment", "change", "now", "would", "be", "enter", "leave", "file"],
        ["buyers", "renamed", "3", "3", f"{files}/buyers.yaml"],
        ["gold", "affected", "by", "vip", "2", "1", "0", "1", f"{files}/gold.yaml"],
        ["new", "new", "0", "0", "0", f"{files}/new.yaml"],
        ["vip", "changed", "2", "1", "0", "1", f"{files}/vip.yaml"],
        ["other", "not", "in", "these", "files"],
    ]
    assert said[:2] == ["gold: leave bob", "vip: leave bob"]
    assert ": 1 renamed, 1 affected, 1 new, 1 changed, 1 not in these files. Nothing was written." in said[2]
    assert said[3] == f"Next: segops segments apply {computed.slug} {files}"


def test_in_json_a_plan_is_complete(segops: Segops, computed: Shop, files: Path) -> None:
    path = write(files, "vip", {**BIG, "value": 600})

    answer = segops("plan", computed.slug, files, "--at", "2199-01-01", "--json").json

    assert (answer["tenant"], answer["at"]) == (computed.slug, "2199-01-01T00:00:00.000Z")
    assert (answer["changes"], answer["notes"], answer["outdated"], answer["beyond"]) == (True, [], [], [])
    assert answer["segments"][2] == {
        "segment_id": computed.catalog.get_segment(computed.slug, "vip").id,
        "slug": "vip",
        "change": "changed",
        "because": [],
        "file": str(path),
        "version": 1,
        "members": 2,
        "would_be": 1,
        "entered": 0,
        "exited": 1,
        "entered_sample": [],
        "exited_sample": ["bob"],
        "changed_percent": 50.0,
    }


def test_the_exit_code_says_whether_there_are_changes_if_asked(segops: Segops, computed: Shop, files: Path) -> None:
    assert segops("plan", computed.slug, files, "--detailed-exitcode").exit_code == 0
    write(files, "buyers", ORDERED, name="Buyers")
    assert segops("plan", computed.slug, files).exit_code == 0
    assert segops("plan", computed.slug, files, "--detailed-exitcode").exit_code == 2


def test_a_change_beyond_the_limit_fails_and_is_named(segops: Segops, computed: Shop, files: Path) -> None:
    write(files, "vip", {**BIG, "value": 600})

    within = segops("plan", computed.slug, files, "--fail-if-change", "50%")
    beyond = segops("plan", computed.slug, files, "--fail-if-change", "49.9%", "--detailed-exitcode")

    assert (within.exit_code, within.err) == (0, "")
    assert beyond.exit_code == 3
    assert beyond.err.splitlines() == [
        "gold would change by 50.0%, more than 49.9%: 0 enter and 1 leave, of 2 members now.",
        "vip would change by 50.0%, more than 49.9%: 0 enter and 1 leave, of 2 members now.",
    ]


def test_what_has_nobody_now_changes_wholly_and_what_is_new_not_at_all(
    segops: Segops, computed: Shop, files: Path
) -> None:
    computed.define("empty", {**ORDERED, "value": 9})
    segops("compute", computed.slug)
    write(files, "new", ORDERED)
    assert segops("plan", computed.slug, files, "--fail-if-change", "0%").exit_code == 0

    write(files, "empty", ORDERED)

    answer = segops("plan", computed.slug, files, "--fail-if-change", "99%", "--json")
    assert (answer.exit_code, answer.json["beyond"]) == (3, ["empty"])


def test_pruning_plans_to_archive_what_the_directory_does_not_have(segops: Segops, computed: Shop, files: Path) -> None:
    (files / "gold.yaml").unlink()

    kept = segops("plan", computed.slug, files, "--json").json["segments"]
    pruned = segops("plan", computed.slug, files, "--prune", "--fail-if-change", "50%", "--json")

    assert [(one["slug"], one["change"], one["file"]) for one in kept][-1] == ("gold", "unchanged", None)
    assert pruned.exit_code == 3
    gold = pruned.json["segments"][-1]
    assert (gold["slug"], gold["change"], gold["would_be"], gold["exited"]) == ("gold", "archived", 0, 2)
    assert segops("plan", computed.slug, files / "vip.yaml", "--prune").exit_code == 2


def test_applying_with_prune_does_what_was_planned(segops: Segops, computed: Shop, files: Path) -> None:
    (files / "gold.yaml").unlink()

    answer = segops("segments", "apply", computed.slug, files, "--prune", "--json").json

    assert [(one["slug"], one["outcome"], one["file"]) for one in answer][-1] == ("gold", "archived", None)
    (files / "gold.yaml").write_text((files / "vip.yaml").read_text().replace("vip", "gold"))
    (files / "vip.yaml").unlink()
    write(files, "buyers", member_of("vip"))
    refused = segops("segments", "apply", computed.slug, files, "--prune")
    assert refused.exit_code == 1
    assert "is in none of these files, so it would be archived" in refused.err
    assert segops("segments", "apply", computed.slug, files / "vip.yaml", "--prune").exit_code == 2


@pytest.mark.parametrize("text", ["20", "many%", "-5%", "%"])
def test_a_limit_that_is_no_percentage_is_refused(segops: Segops, files: Path, text: str) -> None:
    answer = segops("plan", "acme", files, f"--fail-if-change={text}")

    assert answer.exit_code == 2
    assert "write it with its sign, such as 20%" in answer.err


def test_an_event_type_that_nobody_has_is_noted_with_the_nearest(segops: Segops, computed: Shop, files: Path) -> None:
    sequence = {"type": "event_sequence", "events": ["order_placed", "shiped"]}
    path = write(files, "typo", {"type": "not", "condition": {**ORDERED, "event_type": "order_plced"}}, sequence)
    expected = [
        f"{path}: definition.conditions[0].condition.event_type: no event of type 'order_plced' yet; "
        "did you mean 'order_placed'?",
        f"{path}: definition.conditions[1].events[1]: no event of type 'shiped' yet",
    ]

    planned = segops("plan", computed.slug, files, "--json")
    validated = segops("segments", "validate", files, "--tenant", computed.slug)
    applied = segops("segments", "apply", computed.slug, files)

    assert planned.json["notes"] == expected
    assert (validated.exit_code, validated.err.splitlines()) == (0, expected)
    assert (applied.exit_code, applied.err.splitlines()) == (0, expected)


def test_a_tenant_without_events_is_told_so_and_nothing_else(segops: Segops, shop: Shop, files: Path) -> None:
    answer = segops("plan", shop.slug, files)

    assert answer.exit_code == 0
    assert answer.err == f"Tenant {shop.slug} has no events yet, so nobody would be in any segment.\n"


def test_events_that_the_members_do_not_know_of_are_pointed_out(segops: Segops, computed: Shop, files: Path) -> None:
    write(files, "vip", {**BIG, "value": 600})
    computed.orders("dan", total=900)

    answer = segops("plan", computed.slug, files)

    assert answer.err == (
        "Events have arrived since gold, vip was computed, so not all is the files' doing. "
        f"To see their effect alone, first: segops compute {computed.slug}\n"
    )
