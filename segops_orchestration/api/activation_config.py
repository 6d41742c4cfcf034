"""A connector as the contract shows it: names of types and config keys, secrets inside the config, masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segops_orchestration.activation.fields import checked_config, required_secrets, secret_fault, secret_names
from segops_orchestration.activation.hidden import HIDDEN, query_fault, without_query
from segops_orchestration.activation.platforms import PLATFORMS
from segops_orchestration.activation.safe_targets import (
    TargetNotFound,
    TargetRefused,
    parse_target,
    private_targets_allowed,
    resolve,
)
from segops_orchestration.activation.signing import new_secret
from segops_orchestration.api.errors import FieldErrors
from segops_orchestration.catalog.connector_records import Connector
from segops_orchestration.dsl.wording import did_you_mean, found, listed

MASK = HIDDEN
_TYPES = {"talonone": "talon_one"}
_SHOWN_TYPES = {ours: theirs for theirs, ours in _TYPES.items()}
# By type: the contract's key and what it is called here.
_KEYS: Mapping[str, Mapping[str, str]] = {"braze": {"segment_id": "subscription_group_id"}}


def stored_type(connector_type: str) -> str:
    """The type as the catalogue knows it.

    Raises:
        FieldErrors: there is no such type.
    """
    type_ = _TYPES.get(connector_type, connector_type)
    if type_ not in PLATFORMS:
        allowed = [shown_type(one) for one in PLATFORMS]
        hint = did_you_mean(connector_type, allowed)
        raise FieldErrors({"connector_type": [f"found {found(connector_type)}; allowed: {listed(allowed)}{hint}"]})
    return type_


def shown_type(type_: str) -> str:
    """The type as the contract has it."""
    return _SHOWN_TYPES.get(type_, type_)


def shown_config(connector: Connector) -> dict[str, Any]:
    """The config with the contract's keys; each stored secret, and the query of an address, is ``***``."""
    theirs = {ours: name for name, ours in _KEYS.get(connector.type, {}).items()}
    plain = {theirs.get(name, name): without_query(value) for name, value in connector.config.items()}
    return {**plain, **dict.fromkeys(connector.secrets, MASK)}


def split_new(type_: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str], str | None]:
    """The config to store, the secrets to seal, and a secret that was made because the type needs one and none came.

    Raises:
        FieldErrors, InvalidDocument: what is wrong, at its path.
    """
    plain, secrets = _split(type_, config, kept=())
    made = None
    if type_ == "webhook" and "secret" not in secrets:
        made = secrets["secret"] = new_secret()
    missing = [name for name in required_secrets(type_) if name not in secrets]
    if missing:
        raise FieldErrors({f"config.{name}": ["missing; it is required"] for name in missing})
    return _checked(type_, plain), secrets, made


def split_change(connector: Connector, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The connector's config with these fields changed, and the secrets to seal.

    ``null`` takes a field back to its default. A secret or a query given as ``***`` stays as it is.

    Raises:
        FieldErrors, InvalidDocument: what is wrong, at its path.
    """
    plain, secrets = _split(connector.type, config, kept=connector.secrets)
    stored = connector.config
    # An echo of what is shown is no change.
    plain = {name: stored[name] if _is_echo(value, stored.get(name)) else value for name, value in plain.items()}
    merged = {**stored, **plain}
    config = _checked(connector.type, {name: value for name, value in merged.items() if value is not None})
    _keep_secrets_at_home(connector, config, secrets)
    return config, secrets


def _keep_secrets_at_home(connector: Connector, config: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Refuse to send a stored secret, which nobody may read, to another address than it was given for."""
    # That of a webhook signs and is never sent.
    kept = [name for name in connector.secrets if name not in given]
    if connector.type == "webhook" or not kept:
        return
    moved = [name for name, value in config.items() if _is_address(value) and value != connector.config.get(name)]
    if moved:
        why = f"with another {moved[0]} give the secret itself: it would be sent there"
        raise FieldErrors({f"config.{name}": [why] for name in kept})


def _split(type_: str, config: Mapping[str, Any], kept: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    ours = _KEYS.get(type_, {})
    names = secret_names(type_)
    plain: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    for name, value in config.items():
        if name not in names:
            plain[ours.get(name, name)] = value
            continue
        if value == MASK and name in kept:
            continue
        fault = _secret_fault(type_, name, value)
        if fault is None:
            secrets[name] = value
        else:
            faults[f"config.{name}"] = [fault]
    if faults:
        raise FieldErrors(faults)
    return plain, secrets


def _secret_fault(type_: str, name: str, value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a text"
    if value == MASK:
        return f"found {MASK}, which stands for a secret that is stored, and none is; give the secret itself"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no character"
    return secret_fault(type_, name, value)


def _checked(type_: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    config = checked_config(type_, plain)
    faults = {f"config.{name}": [fault] for name, value in config.items() if (fault := _address_fault(value))}
    if faults:
        raise FieldErrors(faults)
    return config


def _is_echo(value: object, stored: object) -> bool:
    return stored is not None and value == without_query(stored)


def _is_address(value: object) -> bool:
    # A scheme may be written in any case.
    return isinstance(value, str) and value.lower().startswith(("http://", "https://"))


def _address_fault(value: object) -> str | None:
    """Why callers of the service may not have requests sent there; an operator may, by the command line."""
    if not isinstance(value, str) or not _is_address(value):
        return None
    if (fault := query_fault(value)) or private_targets_allowed():
        return fault
    try:
        resolve(parse_target(value), allow_private=False)
    except (ValueError, TargetRefused) as error:
        return str(error)
    except TargetNotFound:
        # It may have one when it is called; then it is checked again where the type takes any address.
        return None
    return None
