"""A company under the reference policy for the tests of a module."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lethe import holding
from tests.integration.company import HOLDERS_WAIT_SECONDS, Company, of_company
from tests.waiting import until


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="module")
def policy_file() -> Path:
    """Return the policy of the company; a module may have another."""
    return Path(__file__).parents[3] / "deploy" / "policy" / "reference.toml"


@pytest.fixture(scope="module")
def idle_company(
    settings_in: Any, policy_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Company]:
    """Make a company whose processes are not started."""
    folder = tmp_path_factory.mktemp("company")
    with settings_in(folder / "data") as settings, pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "WAIT_SECONDS", HOLDERS_WAIT_SECONDS)
        made = Company(of_company(settings, folder, policy_file), folder)
        yield made
        made.stop()


@pytest.fixture(scope="module")
def company(idle_company: Company) -> Company:
    """Start everything, and the holders outside."""
    idle_company.start()
    idle_company.hold(*idle_company.policy.holders)
    return idle_company
