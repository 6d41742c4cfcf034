from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration_tests.catalog.helpers import begin, commit
from segops_orchestration_tests.cli.conftest import Segops

MONETARY = {
    "type": "monetary",
    "event_type": "order_placed",
    "property": "total",
    "metric": "sum",
    "operator": "gte",
    "value": 500,
}


def segment(slug: str, *conditions: dict[str, object], name: str = "A name") -> dict[str, object]:
    return {"slug": slug, "name": name, "definition": {"logic": "AND", "conditions": [*(conditions or (MONETARY,))]}}


def member_of(target: str) -> dict[str, object]:
    return {"type": "segment_membership", "segment_id": target, "operator": "in"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with two good segment files, and one that is not for us."""
    directory = tmp_path / "segments"
    directory.mkdir()
    (directory / "vip.yaml").write_text(yaml.safe_dump(segment("vip", name="Big spenders")))
    (directory / "gold.json").write_text(json.dumps(segment("gold", member_of("vip"))))
    (directory / "notes.txt").write_text("not a segment")
    return directory


@pytest.fixture
def acme(catalog: Catalog) -> Catalog:
    catalog.create_tenant("acme")
    return catalog


# validate


def test_validate_lists_good_files_and_needs_no_tenant(segops: Segops, files: Path) -> None:
    answer = segops("segments", "validate", files, "--json")

    assert answer.exit_code == 0
    assert answer.json == [
        {"file": str(files / "gold.json"), "slug": "gold", "name": "A name"},
        {"file": str(files / "vip.yaml"), "slug": "vip", "name": "Big spenders"},
    ]
    assert "2 segments valid." in segops("segments", "validate", files).out


def test_validate_tells_every_problem_of_every_file_at_its_path(segops: Segops, files: Path) -> None:
    (files / "a.yaml").write_text(yaml.safe_dump(segment("a", {**MONETARY, "operator": "gtee", "metric": "summ"})))
    (files / "b.yml").write_text("slug: b\nname: [\n")

    answer = segops("segments", "validate", files)

    lines = answer.err.removeprefix("Error: ").splitlines()
    assert (answer.exit_code, answer.out, len(lines)) == (1, "", 3)
    assert lines[0].startswith(f"{files}/a.yaml: definition.conditions[0].metric: ")
    assert lines[1].startswith(f"{files}/a.yaml: definition.conditions[0].operator: ")
    assert lines[2].startswith(f"{files}/b.yml: line ")


def test_two_files_with_one_slug_are_refused_naming_both(segops: Segops, files: Path) -> None:
    (files / "zzz.yaml").write_text(yaml.safe_dump(segment("vip")))

    answer = segops("segments", "validate", files)

    assert answer.exit_code == 1
    assert answer.err == (
        f"Error: {files}/zzz.yaml: slug: 'vip' is the slug of {files}/vip.yaml too; each file needs its own\n"
    )


def test_a_file_named_twice_is_read_once(segops: Segops, files: Path) -> None:
    answer = segops("segments", "validate", files / "vip.yaml", files, "--json")

    assert [one["slug"] for one in answer.json] == ["vip", "gold"]


def test_a_path_that_cannot_be_segments_is_one_message(segops: Segops, files: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    missing = segops("segments", "validate", tmp_path / "none.yaml")
    other = segops("segments", "validate", files / "notes.txt")
    nothing = segops("segments", "validate", empty)

    assert missing.err == f"Error: {tmp_path}/none.yaml: no such file or directory\n"
    assert other.err == f"Error: {files}/notes.txt: not a segment file; allowed: *.yaml, *.yml, *.json\n"
    assert nothing.err == f"Error: {empty}: no segment file (*.yaml, *.yml, *.json) in this directory\n"
    assert {missing.exit_code, other.exit_code, nothing.exit_code} == {1}


def test_validate_without_a_path_is_a_mistake_of_usage(segops: Segops) -> None:
    assert segops("segments", "validate").exit_code == 2


# apply


def test_apply_says_per_segment_what_happened(segops: Segops, acme: Catalog, files: Path) -> None:
    first = segops("segments", "apply", "acme", files, "--json").json
    (files / "vip.yaml").write_text(yaml.safe_dump(segment("vip", {**MONETARY, "value": 600}, name="Big spenders")))
    (files / "new.yml").write_text(yaml.safe_dump(segment("new")))
    gold = segment("gold", member_of("vip"), name="Gold")
    (files / "gold.json").write_text(json.dumps(gold))
    second = segops("segments", "apply", "acme", files, "--json").json
    third = segops("segments", "apply", "acme", files)

    assert [(one["slug"], one["outcome"], one["version"]) for one in first] == [
        ("gold", "created", 1),
        ("vip", "created", 1),
    ]
    assert [(one["slug"], one["outcome"], one["version"]) for one in second] == [
        ("gold", "updated", 1),
        ("new", "created", 1),
        ("vip", "versioned", 2),
    ]
    assert second[2]["file"] == str(files / "vip.yaml")
    assert "3 unchanged." in third.out


def test_one_wrong_file_refuses_all(segops: Segops, acme: Catalog, files: Path) -> None:
    (files / "wrong.yaml").write_text(yaml.safe_dump(segment("wrong", {**MONETARY, "operator": "gtee"})))

    answer = segops("segments", "apply", "acme", files)

    assert answer.exit_code == 1
    assert f"{files}/wrong.yaml: definition.conditions[0].operator: " in answer.err
    assert acme.list_segments("acme") == []


def test_a_wrong_reference_is_told_with_file_and_path(segops: Segops, acme: Catalog, files: Path) -> None:
    (files / "gold.json").write_text(json.dumps(segment("gold", MONETARY, member_of("viip"))))

    answer = segops("segments", "apply", "acme", files)

    assert (answer.exit_code, answer.out) == (1, "")
    assert answer.err == (
        f"Error: {files}/gold.json: definition.conditions[1].segment_id: "
        "no segment 'viip' in tenant 'acme'; did you mean 'vip'?\n"
    )
    assert acme.list_segments("acme") == []


def test_apply_to_an_unknown_tenant_is_refused(segops: Segops, acme: Catalog, files: Path) -> None:
    answer = segops("segments", "apply", "acne", files)

    assert (answer.exit_code, answer.err) == (1, "Error: no tenant 'acne'; did you mean 'acme'?\n")


# list, show, archive


def test_list_shows_segments_and_hides_archived_ones(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)
    segops("segments", "archive", "acme", "gold")

    assert [(one["slug"], one["pending"]) for one in segops("segments", "list", "acme", "--json").json] == [
        ("vip", True)
    ]
    assert len(segops("segments", "list", "acme", "--all", "--json").json) == 2
    assert "Big spenders" in segops("segments", "list", "acme").out


def test_an_empty_list_says_what_to_do(segops: Segops, acme: Catalog) -> None:
    assert "segops segments apply acme DIR_OR_FILE" in segops("segments", "list", "acme").out


def test_show_prints_the_definition_as_a_file_would_have_it(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)

    out = segops("segments", "show", "acme", "vip").out

    shown = yaml.safe_load(out[out.index("definition:") : out.index("version  saved")])
    assert shown == {"definition": {"logic": "AND", "conditions": [MONETARY]}}
    assert "Never computed. Next: segops compute acme vip" in out


def test_show_in_json_has_versions_and_the_last_computation(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)
    answer = segops("segments", "show", "acme", "vip", "--json").json

    assert answer["definition"]["conditions"] == [MONETARY]
    assert [one["version"] for one in answer["versions"]] == [1]
    assert answer["last_computation"] is None


def test_show_says_what_the_last_computation_did(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)
    gold, vip = acme.list_segments("acme")
    computation = begin(acme, gold, vip)
    commit(acme, computation, vip, members=12_345)

    last = segops("segments", "show", "acme", "vip", "--json").json["last_computation"]

    assert (last["computation_id"], last["at"]) == (computation.id, "2026-03-01T12:00:00.000Z")
    assert (last["status"], last["mode"], last["reason"], last["version"]) == ("committed", "full", "asked for", 1)
    assert (last["members"], last["entered"], last["exited"], last["candidates"]) == (12_345, 3, 1, 10)
    assert "12,345" in segops("segments", "show", "acme", "vip").out
    assert "12,345" in segops("segments", "list", "acme").out


def test_show_names_the_nearest_segment(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)

    answer = segops("segments", "show", "acme", "vipp")

    assert (answer.exit_code, answer.err) == (1, "Error: no segment 'vipp' in tenant 'acme'; did you mean 'vip'?\n")


def test_archiving_a_segment_in_use_is_refused(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)

    answer = segops("segments", "archive", "acme", "vip")

    assert answer.exit_code == 1
    assert answer.err == "Error: segment 'vip' of tenant 'acme' is used by gold: change them first\n"


def test_applying_the_file_of_an_archived_segment_takes_it_back(segops: Segops, acme: Catalog, files: Path) -> None:
    segops("segments", "apply", "acme", files)
    segops("segments", "archive", "acme", "gold")

    answer = segops("segments", "apply", "acme", files / "gold.json", "--json").json

    assert [(one["slug"], one["outcome"], one["version"]) for one in answer] == [("gold", "restored", 2)]


@pytest.mark.parametrize("name", ["validate", "apply", "list", "show", "archive"])
def test_every_command_teaches_with_an_example(segops: Segops, name: str) -> None:
    answer = segops("segments", name, "--help")

    assert answer.exit_code == 0
    assert f"segops segments {name} " in answer.out.partition("Example:")[2]
