"""What a trial may use, as the program says or does not yet know."""

from __future__ import annotations

import pytest

from pulumi_mlserve.clients.trials.trial import TrialLimits
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_trial import limits_of
from pulumi_mlserve.provider.values import UNKNOWN


@pytest.mark.parametrize(
    ("given", "seconds", "of_the_processor"),
    [
        ({}, 120, 600),
        ({"trial_seconds": 1.5}, 1.5, 600),
        ({"trial_seconds": 900}, 900, 4500),
        ({"trial_seconds": UNKNOWN}, 3600, 18_000),
    ],
    ids=str,
)
def test_the_program_says_how_long_a_trial_may_take(given, seconds, of_the_processor):
    """What is not known yet refuses nothing that may be allowed."""
    limits = limits_of(Call("urn:pulumi:dev::shop::mlserve:index:Image::price", news=given))

    assert (seconds, of_the_processor) == (limits.seconds, limits.resources()["RLIMIT_CPU"])
    assert TrialLimits.seconds == 120
