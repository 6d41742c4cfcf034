"""Where a connector's secrets come from: environment variables, or somebody who types them unseen."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence

import click

from segops_orchestration.errors import InvalidDocument, Problem


def references(values: Sequence[str]) -> dict[str, str]:
    """``--secret api_key=env:NAME`` options: the variable of each secret.

    Raises:
        click.UsageError: one is written differently. What was written is not repeated: it may be the secret.
    """
    from segops_orchestration.activation.connector_file import secret_reference_fault, variable_of

    result: dict[str, str] = {}
    for value in values:
        name, equals, reference = value.partition("=")
        if not equals or not name or secret_reference_fault(reference) is not None:
            raise click.UsageError(
                "--secret takes NAME=env:VARIABLE, such as api_key=env:KLAVIYO_KEY. The secret itself does not belong"
                " on a command line, where the shell's history and the list of processes keep it; without --secret you"
                " are asked for it."
            )
        result[name] = variable_of(reference)
    return result


def read_secrets(
    type_: str, variables: Mapping[str, str], stored: Collection[str], *, ask: Collection[str] = (), source: str = ""
) -> dict[str, str]:
    """The texts of the secrets that are given, and of those required that are not stored yet, asking for them.

    ``ask`` names secrets to ask for although they are stored. A variable that is not set leaves a stored secret as it
    is. ``source`` (a file name) goes before each message.

    Raises:
        InvalidDocument: a secret that the type does not have, is missing or is malformed.
    """
    from segops_orchestration.activation.fields import required_secrets, secret_fault

    problems = _unknown(type_, [*variables, *ask])
    texts: dict[str, str] = {}
    for name, variable in variables.items():
        text = os.environ.get(variable)
        if text is not None:
            texts[name] = text
        elif name not in stored:
            problems.append(Problem(f"secret {name}", f"the environment variable {variable} is not set"))
    missing = [name for name in required_secrets(type_) if name not in {*variables, *stored}]
    for name in dict.fromkeys([*missing, *ask]):
        if not sys.stdin.isatty():
            problems.append(
                Problem(
                    f"secret {name}", f"missing; give it as {name}=env:VARIABLE, or answer the question in a terminal"
                )
            )
        elif not problems:
            texts[name] = _ask(type_, name)
    faults = [(name, secret_fault(type_, name, text)) for name, text in texts.items()]
    problems += [Problem(f"secret {name}", fault) for name, fault in faults if fault is not None]
    if problems:
        raise InvalidDocument(problems, source)
    return texts


def _ask(type_: str, name: str) -> str:
    from segops_orchestration.activation.fields import platform_class

    [field] = [one for one in platform_class(type_).fields if one.name == name]
    answer: str = click.prompt(f"{name} ({field.help})", hide_input=True, err=True)
    return answer


def _unknown(type_: str, names: Sequence[str]) -> list[Problem]:
    from segops_orchestration.activation.fields import secret_names
    from segops_orchestration.dsl.wording import did_you_mean, listed

    known = secret_names(type_)
    return [
        Problem(f"secret {name}", f"{type_} has no such secret; allowed: {listed(known)}{did_you_mean(name, known)}")
        for name in names
        if name not in known
    ]
