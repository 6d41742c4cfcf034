"""A connector's config and secrets against what its platform's fields allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segops_orchestration.activation.platform import ConfigField, Platform
from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.dsl.faults import missing_fields
from segops_orchestration.dsl.wording import child, did_you_mean, found, listed
from segops_orchestration.errors import Conflict, InvalidDocument, Problem

MAX_SECRET = 10_000


def platform_class(type_: str) -> type[Platform]:
    """The class of a type that is known to exist."""
    return PLATFORMS[type_]


def type_problem(value: object) -> str | None:
    """What is wrong with a connector's type; None if there is a platform of that name."""
    if isinstance(value, str) and value in PLATFORMS:
        return None
    return f"found {found(value)}; allowed: {listed(PLATFORMS)}{did_you_mean(value, PLATFORMS)}"


def secret_names(type_: str) -> list[str]:
    """The secrets that a type has, in its own order."""
    return [one.name for one in platform_class(type_).fields if one.secret]


def required_secrets(type_: str) -> list[str]:
    """The secrets that a type cannot do without."""
    return [one.name for one in platform_class(type_).fields if one.secret and one.required]


def checked_config(type_: str, config: Mapping[Any, Any]) -> dict[str, Any]:
    """The config as it is to be stored: only what was given, each value in the form that the platform's check returns.

    Raises:
        InvalidDocument: every problem, at its path.
    """
    result: dict[str, Any] = {}
    problems = list(_config_problems(type_, config, result))
    if problems:
        raise InvalidDocument(problems)
    return result


def changed_config(type_: str, before: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """``checked_config`` of a config with fields changed; an empty text takes one back to its default.

    Raises:
        InvalidDocument: every problem, at its path.
    """
    fields = {one.name for one in platform_class(type_).fields if not one.secret}
    merged = {**before, **given}
    return checked_config(type_, {name: value for name, value in merged.items() if value != "" or name not in fields})


def secret_fault(type_: str, name: str, text: str) -> str | None:
    """What is wrong with a secret of a type, without saying what it is."""
    if not text.strip():
        return "found an empty text; allowed: the secret as the platform shows it"
    if len(text) > MAX_SECRET:
        return f"found {len(text):,} characters; allowed: {MAX_SECRET:,}"
    if not text.isprintable():
        return "found a line break or another control character in it; allowed: the secret as the platform shows it"
    for field in platform_class(type_).fields:
        if field.name == name and field.check is not None:
            try:
                field.check(text)
            except ValueError as error:
                return str(error)
    return None


def require_same_target(slug: str, type_: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuse to point a connector that has delivered at another audience: whoever is in the old one would stay there.

    Raises:
        Conflict: which field changed.
    """
    for field in platform_class(type_).fields:
        old, new = (config.get(field.name, field.default) for config in (before, after))
        if field.target and old != new:
            raise Conflict(
                f"connector {slug!r} has delivered to {field.name} {found(old)}; it cannot be pointed at {found(new)}, "
                "for the users it added would stay in the old audience. Create a connector for the new one, and delete "
                "this one with --empty or --leave"
            )


def _config_problems(type_: str, config: Mapping[Any, Any], result: dict[str, Any]) -> Iterator[Problem]:
    fields = {one.name: one for one in platform_class(type_).fields}
    allowed = [one.name for one in fields.values() if not one.secret]
    for key, value in config.items():
        path = child("config", key)
        field = fields.get(key)
        if field is None:
            yield Problem(path, f"unknown field of {type_}; allowed: {listed(allowed)}{did_you_mean(key, allowed)}")
        elif field.secret:
            yield Problem(path, f"{key} is a secret, which is never part of the config; write it as secrets: env:NAME")
        else:
            yield from _checked(path, field, value, result)
    required = [one.name for one in fields.values() if one.required and not one.secret]
    for name in missing_fields(config, allowed, required):
        yield Problem(child("config", name), f"missing; required: {fields[name].help}")


def _checked(path: str, field: ConfigField, value: object, result: dict[str, Any]) -> Iterator[Problem]:
    if isinstance(value, dict | list) or value is None:
        yield Problem(path, f"found {found(value)}; allowed: {field.help}")
        return
    if field.check is None:
        result[field.name] = value if isinstance(value, str) else found(value)
        return
    try:
        result[field.name] = field.check(value)
    except ValueError as error:
        yield Problem(path, str(error))
