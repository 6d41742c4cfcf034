"""What a platform is to the delivery: what it needs of a user, how large a batch is, how to send and read back.

A platform is one class in ``platforms/`` and one line in ``platforms/__init__.py``. It speaks for one connector and
knows nothing of what was delivered before; the delivery knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from segops_orchestration.activation.limiter import LimiterFactory, local_limiters
from segops_orchestration.activation.limiter import Rate as Rate
from segops_orchestration.errors import SegOpsError

Action = Literal["add", "remove"]


class PlatformRefused(SegOpsError):
    """It will refuse until a person has done something: a wrong key, a missing scope, a target that is gone.

    The message has the platform's own words. ``status`` is the HTTP status, 0 when there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PlatformUnavailable(SegOpsError):
    """It does not answer for now: too many requests, server errors, no connection, after all retries of the call.

    ``may_have_applied``: one of the requests may have been carried out although no answer came; after nothing but 429
    and refused connections none was. How long it asked to be left alone, the account's bucket knows: until then every
    call raises this without a request.
    """

    def __init__(self, message: str, *, may_have_applied: bool = True) -> None:
        super().__init__(message)
        self.may_have_applied = may_have_applied


class BatchRefused(SegOpsError):
    """It refused the batch as a whole because of what is in it, and took none of it.

    ``users`` are those whom it blames. None blamed: the delivery halves the batch until the faulty user is alone.
    """

    def __init__(self, message: str, users: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.users: Mapping[str, str] = users or {}


@dataclass(frozen=True)
class User:
    """Somebody to add or to remove.

    ``properties`` is the payload of the latest identification, empty unless the platform ``reads_properties``.
    ``platform_id`` is what the platform called the user when an earlier add was confirmed, else empty.
    ``entered_at`` is, for an add, the instant of the computation in which the user entered, as ISO text.
    """

    user_id: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    platform_id: str = ""
    entered_at: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of a batch. A user of the batch who is not mentioned was taken.

    Attributes:
        rejected: user id -> the platform's reason.
        unknown: whose outcome could not be read; they are sent again.
        platform_ids: user id -> what the platform calls the user, where that is needed to remove them later.
        job: the platform goes on working on the batch and answers ``follow`` for this id; then nobody is taken yet,
            and only ``rejected`` counts.
    """

    rejected: Mapping[str, str] = field(default_factory=dict)
    unknown: Collection[str] = ()
    platform_ids: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that ``test`` looked at: the key, a scope, the target. ``detail`` says what is wrong and what to do."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class ConfigField:
    """One entry of a connector's config or one of its secrets, as ``segops connectors types`` shows it.

    ``check`` raises ValueError, saying what is allowed; it returns the value to store. ``target``: it says which
    audience is filled, so that it stays as it is once users were delivered.
    """

    name: str
    help: str
    required: bool = True
    secret: bool = False
    default: Any = None
    check: Any = None
    target: bool = False


def _go_on() -> None:
    """The check before a request, of whoever has nothing to check."""


@dataclass(frozen=True)
class Connection:
    """What a platform is made with: one connector, for the time of one piece of work.

    Attributes:
        config: checked and complete: every field of ``Platform.fields`` that is not a secret is a key.
        secrets: decrypted, by field name.
        limiter: gives the limiter of a key and its rates; ``limiters(..)`` of ``limiter.py`` shares it over processes.
        before_request: called before every HTTP request, retries too; whatever it raises stops the work.
        allow_private_targets: whether an address of a private network may be called.
        patience_seconds: how long a call is tried, pauses included; None is what suits a sync.
    """

    tenant: str
    connector_id: int
    connector: str
    segment_id: int
    segment: str
    segment_name: str
    type: str
    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    limiter: LimiterFactory = field(default=local_limiters, repr=False)
    before_request: Callable[[], None] = field(default=_go_on, repr=False)
    allow_private_targets: bool = False
    patience_seconds: float | None = None

    def account(self, base_url: str, key: str) -> str:
        """What names the platform's account in a limiter's key: connectors of one account share its rates."""
        return hashlib.sha256(f"{base_url}\n{key}".encode()).hexdigest()[:24]


class Platform(ABC):
    """One connector's platform. Made with checked config and decrypted secrets; keeps one HTTP session.

    Calls retry by themselves what may be retried (429, 5xx, no connection) for a bounded time, under the published
    rates, and raise PlatformRefused, PlatformUnavailable or BatchRefused. All sending is idempotent.
    """

    type: ClassVar[str]
    title: ClassVar[str]
    fields: ClassVar[Sequence[ConfigField]]
    # Whether ``User.properties`` is wanted.
    reads_properties: ClassVar[bool] = False
    # Whether ``read_back`` works at all (with this config).
    reads_back: bool = False
    # How long a request whose answer was lost may still take effect: so long the opposite of it waits.
    settle_seconds: float = 60.0

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @abstractmethod
    def batch_size(self, action: Action) -> int:
        """Users in one call of ``add`` or ``remove``. Also the unit whose answer is recorded before the next."""

    def in_flight(self) -> int:
        """How many batches may be under way at once, of different users; one unless the limits want more."""
        return 1

    def lacks(self, user: User) -> str | None:
        """What the platform needs of a user to add and this one does not have; None when nothing."""
        return None

    @abstractmethod
    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        """Make the users members of the audience. ``batch_id`` is the same when the same batch is sent again."""

    @abstractmethod
    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        """Take the users out of the audience; one who is not in it counts as taken out."""

    def follow(self, job: str, users: Sequence[User]) -> Answer | None:
        """What became of a job of ``add``; None while the platform is still at it."""
        raise NotImplementedError(f"{self.type} answers at once")

    @abstractmethod
    def test(self) -> list[Finding]:
        """Key, scope and target, by harmless calls. Never raises PlatformRefused: it says what is wrong instead."""

    def read_back(self, users: Iterator[User]) -> Iterator[str]:
        """User ids in the audience now: all of them, or of ``users`` where the platform answers only for given users.

        The delivery streams ``users`` (acknowledged and desired ones) and compares.
        """
        raise NotImplementedError(f"{self.type} cannot be read back")

    def traffic(self) -> tuple[int, int]:
        """HTTP requests sent so far, and how many of them were repeats; those of ``self.http``, if there is one."""
        http = getattr(self, "http", None)
        return http.traffic() if http is not None else (0, 0)

    def lost(self) -> int:
        """Requests of this thread so far that may take effect, or have, although no answer came; reading left out."""
        http = getattr(self, "http", None)
        return http.lost() if http is not None else 0

    def close(self) -> None:
        """Close the HTTP session, if there is one."""
        http = getattr(self, "http", None)
        if http is not None:
            http.close()
