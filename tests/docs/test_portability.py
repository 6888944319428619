"""The description of files that people fetch is what they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from privacy.rights.copy import Store
from privacy.rights.portable import FORMAT, Choice, Submission, portable
from privacy.rights.render import FORMAT as ACCESS
from sinks.signing import Signer, make_missing
from streams.deletion.certify import signed
from streams.rights.answers import ERASURE_FORMAT

TEXT = (Path(__file__).parents[2] / "docs" / "portability.md").read_text()


def _block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    return [_shape(each) for each in value] if isinstance(value, list) else type(value)


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    make_missing(tmp_path)
    signer = Signer.under(tmp_path)
    (tmp_path / "public.pem").write_text(signer.public)
    form = Submission("c", "s", "S", "Art. 6(1)(b) GDPR", "t", {"a": "A"}, {"a": "é"})
    choice = Choice("shop.example", "ads", "given", "t", "n", "1", "nl")
    given = {"controller": "Example", "policy": "1", "request_id": "r", "made_at": "t"}
    return dict(signed(portable([form], [choice], ["wine"], **given), signer, "copy"))


def test_the_sample_has_the_form_of_a_copy(whole: dict[str, Any]) -> None:
    sample = json.loads(_block("json"))
    assert sample["copy"]["format"] == FORMAT
    assert _shape(sample) == _shape(whole)


def test_formats_and_stores_are_all_there() -> None:
    assert ACCESS in TEXT
    assert ERASURE_FORMAT in TEXT
    assert not {each for each in Store if f"`{each}`" not in TEXT}


def test_the_check_of_a_signature_checks_it(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "portable.json"
    file.write_text(json.dumps(whole))
    exec(_block("python"), {})
    whole["copy"]["interests"] = ["cheese"]
    file.write_text(json.dumps(whole))
    with pytest.raises(InvalidSignature):
        exec(_block("python"), {})
