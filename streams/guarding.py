"""What every process that has secrets does before anything else."""

import stat
from collections.abc import Iterator
from pathlib import Path

from sinks import dumps
from streams.settings import Settings, SettingsError

_SHOWN = 5


def guard(settings: Settings) -> None:
    """Leave no core dumps, and refuse secrets that others can reach. Raise SettingsError."""
    dumps.forbid()
    require_private(settings.secrets)


def require_private(folder: Path) -> None:
    """Raise SettingsError when somebody else can read a secret, or put another in its place.

    The owner's group may read: that is how secret stores hand files to a service. Files of any
    mode are private below a folder that others may not enter, as mounted ones often are.
    """
    found = sorted(exposed(folder))
    if found:
        names = ", ".join(found[:_SHOWN]) + (" and more" if len(found) > _SHOWN else "")
        raise SettingsError(
            f"secrets: others can reach {names} in {folder}; close it: chmod -R g-w,o= {folder}"
        )


def exposed(folder: Path) -> Iterator[str]:
    """Yield what is below ``folder`` that others may read or change; names relative to it."""
    top = folder.resolve()
    if top.is_dir():
        entered = [_entered(each.stat().st_mode) for each in top.parents]
        yield from _exposed(
            top, top, all(group for group, _ in entered), all(o for _, o in entered)
        )


def _exposed(path: Path, top: Path, group: bool, others: bool) -> Iterator[str]:
    """``group`` and ``others``: whether they may enter the folder that ``path`` is in."""
    mode = path.stat().st_mode
    inside = stat.S_ISDIR(mode)
    # The names in a folder are no secret.
    for_others = stat.S_IWOTH if inside else stat.S_IRWXO
    if (group and mode & stat.S_IWGRP) or (others and mode & for_others):
        yield str(path.relative_to(top))
    if inside:
        by_group, by_others = _entered(mode)
        for each in path.iterdir():
            if each.exists():  # another process may replace one at this moment
                yield from _exposed(each, top, group and by_group, others and by_others)


def _entered(mode: int) -> tuple[bool, bool]:
    """Tell whether group and others may enter a folder of this mode."""
    others = bool(mode & stat.S_IXOTH)
    return others or bool(mode & stat.S_IXGRP), others
