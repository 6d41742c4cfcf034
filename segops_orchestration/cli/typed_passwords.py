"""Where a password comes from: typed unseen, one line of standard input, or an environment variable."""

from __future__ import annotations

import os
import sys

import click

from segops_orchestration.errors import InvalidDocument, Problem

PASSWORD_VARIABLE = "SEGOPS_PASSWORD"


def read_password(email: str) -> str:
    """The password for somebody, checked. It is no argument: shells and lists of processes keep those.

    Raises:
        InvalidDocument: it is not allowed, or there is none.
    """
    from segops_orchestration.catalog.passwords import check_password

    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None and sys.stdin.isatty():
        password = str(click.prompt(f"Password for {email}", hide_input=True, confirmation_prompt=True, err=True))
    elif password is None:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise InvalidDocument(
                [Problem("password", f"missing; type it, pipe one line into the command, or set {PASSWORD_VARIABLE}")]
            )
    check_password(password, email)
    return password
