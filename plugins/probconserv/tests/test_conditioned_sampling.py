"""The enforcer that conditions while sampling, on the kit's sampler of Gaussian fields."""

from __future__ import annotations

import pytest
from thalweg import OptionError, Registry
from thalweg.testing.enforcers import check_enforcer
from thalweg_probconserv.enforcers.conditioned_sampling import ConditionedSampling


@pytest.mark.parametrize("covariance", ["vjp", "diagonal", "ensemble", "identity"])
def test_it_keeps_the_contract(covariance: str) -> None:
    """Of white and of coloured noise, through a decoder, with laws that are not linear, beside what others keep."""
    check_enforcer(ConditionedSampling.model_validate({"covariance": covariance}))


def test_only_the_denoisers_own_covariance_claims_the_distribution() -> None:
    claims = {each: ConditionedSampling(covariance=each).conditional() for each in ("vjp", "diagonal", "identity")}
    assert claims == {"vjp": True, "diagonal": False, "identity": False}


def test_it_is_found_by_its_name() -> None:
    with pytest.raises(OptionError, match="covariance"):
        Registry.installed().make("enforcers", {"conditioned-sampling": {"covariance": "full"}})
