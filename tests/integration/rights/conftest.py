"""A company that answers people: every process; ad providers and a controller are stand-ins."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lethe import holding
from lethe.standins.account import put_credentials, with_standins
from lethe.standins.controller import Controller
from lethe.standins.server import StandIns, in_loop, in_thread, serving_app
from sinks.clickhouse.connect import connect
from sinks.clickhouse.migrate import Migrations
from streams.rights.transfer import FOLDER
from streams.settings import Settings
from tests.authority import Authority
from tests.integration.company import HOLDERS_WAIT_SECONDS, of_company
from tests.integration.rights.office import Office

REFERENCE = Path(__file__).parents[3] / "deploy" / "policy" / "reference.toml"
TOKEN = "token-of-the-other-shop"


@pytest.fixture(scope="module")
def office(settings_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Start everything. What waits a day by the policy of others waits for nothing here."""
    folder = tmp_path_factory.mktemp("office")
    with ExitStack() as stack:
        settings = stack.enter_context(settings_in(folder / "data"))
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(
            holding, "WAIT_SECONDS", HOLDERS_WAIT_SECONDS
        )
        authority, other = Authority(folder), Controller(TOKEN)
        tls = authority.serving("127.0.0.1")
        url = stack.enter_context(in_loop(serving_app(other.application(), "127.0.0.1", 0, tls)))
        standins = stack.enter_context(in_thread())
        trusted = folder / "authority.pem"
        trusted.write_text(authority.certificate)
        settings = _settings(settings, folder, standins, f"{url}/copies")
        made = Office(settings, folder, standins=standins, other=other, trusted=trusted)
        stack.callback(made.stop)
        made.open()
        yield made


def _settings(settings: Settings, folder: Path, standins: StandIns, url: str) -> Settings:
    # A machine that does much else does not keep a dispatcher from looking for so long.
    patient = settings.ads.model_copy(update={"lease_seconds": 10.0})
    there = with_standins(settings.model_copy(update={"ads": patient}), standins.url)
    made = of_company(there, folder, _policy(folder, url))
    _own_secrets(settings.secrets, made.secrets)
    with connect(made.clickhouse, "admin", made.secrets) as admin:
        admin.create_database()
        admin.execute(f"DROP DATABASE {made.clickhouse.database} SYNC")
        list(Migrations(admin, facts_hours=made.statistics.facts_hours).apply())
        for table in ("facts", "facts_held"):  # what was deleted is gone at once
            admin.execute(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")
    return made


def _policy(folder: Path, url: str) -> Path:
    """Write the reference policy with no notice period, one provider, and where a controller is."""
    text = REFERENCE.read_text().replace("notice_hours = 24", "notice_hours = 0")
    text = re.sub(r"(?m)^url = .*collect.*$", "", text)  # the letters' links are paths
    text = text.replace("https://other-shop.example/portable", url)
    text = re.sub(r"(?ms)^\[providers\.(?!meta\b).*?(?=^\[)", "", text)
    file = folder / "policy.toml"
    file.write_text(text)
    return file


def _own_secrets(engines: Path, secrets: Path) -> None:
    """Put what opens the engines, the providers and the controller below ``secrets``."""
    put_credentials(secrets)
    for each in engines.iterdir():
        if each.is_file():
            shutil.copy(each, secrets)
    (secrets / FOLDER).mkdir()
    (secrets / FOLDER / "other-shop").write_text(TOKEN)
