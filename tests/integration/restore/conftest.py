"""A company that loses its ledger."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lethe import holding
from lethe.standins.account import put_credentials, with_standins
from tests.integration.company import HOLDERS_WAIT_SECONDS, of_company
from tests.integration.restore.loser import Loser

REFERENCE = Path(__file__).parents[3] / "deploy" / "policy" / "reference.toml"


@pytest.fixture(scope="module")
def loser(settings_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loser]:
    """Start everything that works on the ledger; of ad providers there is one, and nobody sends."""
    folder = tmp_path_factory.mktemp("loser")
    with settings_in(folder / "data") as settings, pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "WAIT_SECONDS", HOLDERS_WAIT_SECONDS)
        text = REFERENCE.read_text().replace("notice_hours = 24", "notice_hours = 0")
        text = re.sub(r"(?m)^url = .*collect.*$", "", text)
        text = re.sub(r"(?ms)^\[providers\.(?!meta\b).*?(?=^\[)", "", text)
        policy = folder / "policy.toml"
        policy.write_text(text)
        company = of_company(with_standins(settings, "http://127.0.0.1:9"), folder, policy)
        put_credentials(company.secrets)
        for each in settings.secrets.iterdir():
            if each.is_file():
                shutil.copy(each, company.secrets)
        made = Loser(company, folder)
        made.open()
        yield made
        made.stop()
