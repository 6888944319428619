from pathlib import Path

import pytest

from lethe.logs.place import Place, PlaceError, load, save


def test_a_saved_place_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "logs-state" / "shop.example-access.json"
    save(file, Place(10, 2, 5))
    save(file, Place(20, 4, 5))
    assert load(file) == Place(20, 4, 5)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_without_a_file_reading_starts_at_the_beginning(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") == Place()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "null", '{"offset": -1}', '{"offset": "1"}', '{"line": null}', '{"x": 1}'],
)
def test_a_damaged_file_is_said_not_guessed_at(tmp_path: Path, content: str) -> None:
    file = tmp_path / "damaged.json"
    file.write_text(content)
    with pytest.raises(PlaceError, match=r"damaged\.json is damaged; remove it"):
        load(file)
