"""Secrets of connectors, encrypted at rest with Fernet (AES-128-CBC and HMAC-SHA256; https://github.com/fernet/spec).

The key is ``SEGOPS_SECRET_KEY``, else the file ``secret.key`` under SEGOPS_HOME, made on first use. Several keys,
newest first, are a rotation under way: the first encrypts, all decrypt.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from segops_orchestration.errors import SegOpsError
from segops_orchestration.settings import SECRET_KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())" makes one'


class SecretKeyError(SegOpsError):
    """There is no key, it is no key, or it is not the one that a stored secret was encrypted with."""


class SecretBox:
    """Encrypts and decrypts with the keys of one installation, which it looks for when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._variable = settings.secret_key
        self._file = settings.secret_key_file

    def __repr__(self) -> str:
        return f"SecretBox({self._source})"

    def seal(self, text: str) -> str:
        """The text, encrypted with the newest key; makes the key file if there is no key yet.

        Raises:
            SecretKeyError: the key is malformed, or its file cannot be read or written.
        """
        self._ensure_key()
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str, what: str) -> str:
        """The text that was sealed; ``what`` names it in errors.

        Raises:
            SecretKeyError: there is no key, or it is not one that sealed this.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode()
        except InvalidToken:
            raise SecretKeyError(
                f"{what} was encrypted with a key that is not in {self._source}: put that key back, behind a comma "
                f"after a newer one if there is one, or store the secret again with segops connectors update"
            ) from None

    def seal_again(self, sealed: str, what: str) -> str:
        """The same secret under the newest key.

        Raises:
            SecretKeyError: as ``open``.
        """
        return self.seal(self.open(sealed, what))

    def signing_keys(self, purpose: str) -> list[bytes]:
        """Keys of 32 bytes for signing, newest first, made from the encrypting ones; each purpose has its own.

        Raises:
            SecretKeyError: as ``seal``.
        """
        self._ensure_key()
        _ = self._fernet  # refuses malformed keys
        return [hmac.digest(key.encode(), f"segops {purpose}".encode(), "sha256") for key in self._keys()]

    @property
    def _source(self) -> str:
        return SECRET_KEY_VARIABLE if self._variable else str(self._file)

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        keys = []
        for number, key in enumerate(self._keys(), start=1):
            try:
                keys.append(Fernet(key))
            except ValueError:
                # The key itself stays out of the message.
                raise SecretKeyError(
                    f"{self._source}: key {number} is not a Fernet key, which is 32 bytes in URL-safe base64 "
                    f"(44 characters); {_MAKE_ONE}"
                ) from None
        return MultiFernet(keys)

    def _keys(self) -> Sequence[str]:
        text = self._variable or self._read()
        keys = [key.strip() for key in text.replace("\n", ",").split(",") if key.strip()]
        if not keys:
            raise SecretKeyError(f"{self._source}: found no key; {_MAKE_ONE}")
        return keys

    def _read(self) -> str:
        try:
            return self._file.read_text(encoding="ascii")
        except FileNotFoundError:
            raise SecretKeyError(
                f"the key that the stored secrets are encrypted with is missing: {SECRET_KEY_VARIABLE} is not set and "
                f"{self._file} does not exist. Put the key back, or store the secrets again with segops connectors "
                "update, which makes a new one"
            ) from None
        except UnicodeDecodeError:
            raise SecretKeyError(f"{self._file}: found no key but other bytes; {_MAKE_ONE}") from None
        except OSError as error:
            raise SecretKeyError(f"{self._file}: cannot be read: {error.strerror}") from error

    def _ensure_key(self) -> None:
        if self._variable or self._file.exists():
            return
        from cryptography.fernet import Fernet

        try:
            _create_once(self._file, Fernet.generate_key() + b"\n")
        except OSError as error:
            raise SecretKeyError(f"{self._file}: cannot be written: {error.strerror}") from error


def _create_once(file: Path, content: bytes) -> None:
    """Make a file that only its owner reads, whole or not at all; one that somebody else makes meanwhile stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as draft:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
        # A link, unlike a rename, never replaces.
        os.link(name, file)
    except FileExistsError:
        return
    finally:
        os.unlink(name)
