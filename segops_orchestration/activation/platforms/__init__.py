"""One module per platform. A further platform is a module here and a line in ``_CLASSES``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from segops_orchestration.activation.platform import Connection, Platform

# Type -> module, class, and what people call the platform.
_CLASSES: dict[str, tuple[str, str, str]] = {
    "klaviyo": ("klaviyo", "Klaviyo", "Klaviyo"),
    "braze": ("braze", "Braze", "Braze"),
    "talon_one": ("talon_one", "TalonOne", "Talon.One"),
    "webhook": ("webhook", "Webhook", "webhooks"),
}


class _Platforms(Mapping[str, type[Platform]]):
    """Type -> class. A module is imported when its class is wanted, for the HTTP library takes its time."""

    def __getitem__(self, type_: str) -> type[Platform]:
        module, name, _ = _CLASSES[type_]
        found: type[Platform] = getattr(import_module(f"{__name__}.{module}"), name)
        return found

    def __contains__(self, type_: object) -> bool:
        return type_ in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


PLATFORMS: Mapping[str, type[Platform]] = _Platforms()


def common_name(type_: str) -> str:
    """What people call the platform. Nothing is imported for it."""
    return _CLASSES[type_][2]


def make_platform(connection: Connection) -> Platform:
    """The connector's platform, ready to be called.

    Raises:
        KeyError: there is no such type.
    """
    return PLATFORMS[connection.type](connection)
