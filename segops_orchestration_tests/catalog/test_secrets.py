from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from segops_orchestration.catalog.catalog import Catalog
from segops_orchestration.catalog.secret_box import SecretBox, SecretKeyError
from segops_orchestration.settings import Settings
from segops_orchestration_tests.catalog.helpers import connect
from segops_orchestration_tests.catalog.racing import race

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings.from_env({"SEGOPS_HOME": str(tmp_path / "home")})


def _with_key(settings: Settings, key: str) -> Settings:
    return replace(settings, secret_key=key)


def test_a_sealed_secret_says_nothing_and_opens_again(home: Settings) -> None:
    box = SecretBox(home)

    sealed = box.seal("pk_123 ✓")

    assert "pk_123" not in sealed
    assert SecretBox(home).open(sealed, "it") == "pk_123 ✓"


def test_the_key_file_is_made_on_first_use_for_its_owner_alone(home: Settings) -> None:
    SecretBox(home)
    assert not home.secret_key_file.exists()

    SecretBox(home).seal("a")

    assert stat.S_IMODE(home.secret_key_file.stat().st_mode) == 0o600
    assert [file.name for file in home.home.iterdir()] == ["secret.key"]


def test_processes_that_make_the_key_at_once_end_with_one(catalog: Catalog, catalog_settings: Settings) -> None:
    sealed = race(catalog_settings, "seal", processes=4)

    box = SecretBox(catalog_settings)
    assert [box.open(one, "it") for one in sealed] == ["a secret text"] * 4


def test_the_variable_goes_before_the_file(home: Settings) -> None:
    sealed = SecretBox(_with_key(home, OLD)).seal("a")

    assert not home.secret_key_file.exists()
    assert Fernet(OLD).decrypt(sealed.encode()) == b"a"


def test_the_newest_key_encrypts_and_older_ones_still_decrypt(home: Settings) -> None:
    sealed = SecretBox(_with_key(home, OLD)).seal("a")
    both = SecretBox(_with_key(home, f"{NEW}, {OLD}"))

    assert both.open(sealed, "it") == "a"
    assert Fernet(NEW).decrypt(both.seal("b").encode()) == b"b"


def test_the_key_file_may_hold_several_keys_one_a_line(home: Settings) -> None:
    sealed = SecretBox(_with_key(home, OLD)).seal("a")
    home.home.mkdir()
    home.secret_key_file.write_text(f"{NEW}\n{OLD}\n")

    assert SecretBox(home).open(sealed, "it") == "a"


def test_another_key_is_told_with_what_it_does_not_open(home: Settings) -> None:
    sealed = SecretBox(_with_key(home, OLD)).seal("a")

    with pytest.raises(SecretKeyError, match="the secret x was encrypted with a key that is not in SEGOPS_SECRET_KEY"):
        SecretBox(_with_key(home, NEW)).open(sealed, "the secret x")


def test_a_missing_key_is_told_and_reading_makes_none(home: Settings) -> None:
    sealed = SecretBox(_with_key(home, OLD)).seal("a")

    with pytest.raises(SecretKeyError, match=r"SEGOPS_SECRET_KEY is not set and .*secret\.key does not exist"):
        SecretBox(home).open(sealed, "the secret x")
    assert not home.secret_key_file.exists()


@pytest.mark.parametrize(
    "key", ["too-short", NEW[:-2], f"{NEW},nonsense", "ключ"], ids=["short", "cut off", "one of two", "no base64"]
)
def test_what_is_no_key_is_refused_without_repeating_it(home: Settings, key: str) -> None:
    with pytest.raises(SecretKeyError, match=r"SEGOPS_SECRET_KEY: key \d is not a Fernet key") as failure:
        SecretBox(_with_key(home, key)).seal("a")

    assert key not in str(failure.value)
    assert NEW not in str(failure.value)


def test_the_key_stays_out_of_representations(home: Settings) -> None:
    settings = _with_key(home, NEW)

    assert NEW not in repr(settings)
    assert NEW not in repr(SecretBox(settings))


# In the catalogue


def test_secrets_are_stored_encrypted_and_read_back(vip: Catalog) -> None:
    connector = connect(vip)

    assert vip.connectors.secrets(connector) == {"api_key": "pk_123"}
    with vip._readers.connect() as connection:
        [stored] = connection.execute(text("SELECT ciphertext FROM connector_secrets")).scalars()
    assert re.fullmatch(r"[\w=-]{100,}", stored)


def test_rotating_encrypts_all_secrets_with_the_newest_key(vip: Catalog, catalog_settings: Settings) -> None:
    def opened(key: str) -> Catalog:
        return Catalog.open(_with_key(catalog_settings, key))

    with opened(OLD) as old:
        connector = connect(old)
        connect(old, "other")
    with opened(f"{NEW},{OLD}") as both:
        assert both.connectors.rotate_secrets() == 2
    with opened(NEW) as new:
        assert new.connectors.secrets(connector) == {"api_key": "pk_123"}
    with opened(OLD) as old, pytest.raises(SecretKeyError, match="the secret api_key of connector 'vip-klaviyo'"):
        old.connectors.secrets(connector)


def test_a_rotation_without_the_old_key_changes_nothing(vip: Catalog, catalog_settings: Settings) -> None:
    with Catalog.open(_with_key(catalog_settings, OLD)) as old:
        connector = connect(old)
        with Catalog.open(_with_key(catalog_settings, NEW)) as new, pytest.raises(SecretKeyError):
            new.connectors.rotate_secrets()

        assert old.connectors.secrets(connector) == {"api_key": "pk_123"}
