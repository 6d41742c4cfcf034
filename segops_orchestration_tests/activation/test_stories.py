"""Whatever happens to a connector, in whatever order: in the end the audience is the segment.

``SEGOPS_STORIES`` sets how many stories a run tells (default 6), half from fixed seeds and half from fresh ones.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from segops_orchestration_tests.activation.conftest import NewShop
from segops_orchestration_tests.activation.roster.story import Story

STORIES = int(os.environ.get("SEGOPS_STORIES", "6"))
NewStory = Callable[[int, int, int | None], Story]

_STEPS = st.sampled_from(
    [
        "members_change",
        "members_change",
        "time_passes",
        "fault",
        "behave",
        "sync",
        "sync",
        "crash",
        "crash",
        "late_request",
        "requeue",
    ]
)
_TALES = {
    "steps": st.lists(_STEPS, min_size=6, max_size=14),
    "chance": st.integers(0, 1 << 32),
    "lanes": st.sampled_from([1, 3]),
    "jobs": st.sampled_from([None, None, 0, 2]),
}
_bounded = hypothesis_settings(
    max_examples=max(1, STORIES // 2),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    report_multiple_bugs=False,
    # A story takes seconds: telling shorter ones until one fails no more would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture
def new_story(new_shop: NewShop) -> NewStory:
    """Stories of one tenant, each with a segment, a connector and a roster of its own."""

    def make(chance: int, lanes: int, jobs: int | None) -> Story:
        shop = new_shop(jobs=jobs, seed=chance)
        shop.open(batch=5, lanes=lanes)
        return Story(shop, Random(chance))

    return make


def _tell(story: Story, steps: list[str]) -> None:
    story.members_change()
    story.sync()
    for step in steps:
        getattr(story, step)()
    story.end()


@seed(20261124)
@_bounded
@given(**_TALES)
def test_the_audience_is_the_segment_in_the_end(
    new_story: NewStory, steps: list[str], chance: int, lanes: int, jobs: int | None
) -> None:
    _tell(new_story(chance, lanes, jobs), steps)


@seed(secrets.randbits(64))
@_bounded
@given(**_TALES)
def test_the_audience_is_the_segment_in_the_end_afresh(
    new_story: NewStory, steps: list[str], chance: int, lanes: int, jobs: int | None
) -> None:
    _tell(new_story(chance, lanes, jobs), steps)
