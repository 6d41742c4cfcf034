"""Stand-ins for the platforms: real HTTP, strict on the contract and the limits, misbehaving when told to."""

from __future__ import annotations

from importlib import import_module

from segops_orchestration.activation.sandbox.sandbox import Sandbox

# type -> module and class. A module loads when its sandbox is wanted.
SANDBOXES: dict[str, tuple[str, str]] = {
    "klaviyo": ("klaviyo", "KlaviyoSandbox"),
    "braze": ("braze", "BrazeSandbox"),
    "talon_one": ("talon_one", "TalonOneSandbox"),
    "webhook": ("webhook", "WebhookSandbox"),
}


def sandbox_class(type_: str) -> type[Sandbox]:
    """The sandbox of a platform's type.

    Raises:
        KeyError: there is none.
    """
    module, name = SANDBOXES[type_]
    found: type[Sandbox] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
