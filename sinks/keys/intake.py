"""Keys that intake needs besides those of cases: in files of 32 bytes, read at each use.

``<secrets>/subject-key`` tells whose a case is, and stays the same for ever: with another one
nobody's cases, and nobody's opt-outs, are found again. So does ``<secrets>/profile-key``, which
tells whose a profile is. ``<secrets>/unsubscribe/<number>`` sign the
links at the foot of mails, ``<secrets>/links/<number>`` those that confirm a request: the highest
number signs, all verify.
"""

import os
import re
from pathlib import Path

from privacy.signed import Keys
from sinks.keys.keks import BYTES, KeyStoreError, write_private

SUBJECT = "subject-key"
PROFILE = "profile-key"
UNSUBSCRIBE = "unsubscribe"
LINKS = "links"
FIRST = "1"


def make_missing(secrets: Path) -> list[str]:
    """Make what lacks of the keys of ids and of first keys for links; return what was made."""
    missing = [each for each in (SUBJECT, PROFILE) if not (secrets / each).exists()]
    missing += [f"{each}/{FIRST}" for each in (UNSUBSCRIBE, LINKS) if not _numbers(secrets / each)]
    for each in missing:
        write_private(secrets / each, os.urandom(BYTES))
    return missing


def subject_key(secrets: Path) -> bytes:
    """Return the key of subjects' ids. Raise KeyStoreError when there is none."""
    return _read(secrets / SUBJECT)


def profile_key(secrets: Path) -> bytes:
    """Return the key of profiles' pseudonyms. Raise KeyStoreError when there is none."""
    return _read(secrets / PROFILE)


def unsubscribe_keys(secrets: Path) -> Keys:
    """Return the keys of links in mails, the newest last. Raise KeyStoreError: there is none."""
    return _signing(secrets / UNSUBSCRIBE)


def links_keys(secrets: Path) -> Keys:
    """Return the keys of links that confirm, the newest last. Raise KeyStoreError: none there."""
    return _signing(secrets / LINKS)


def add_signing_key(folder: Path) -> Path:
    """Make a key that signs from now on, and return its file. What was signed keeps its own."""
    file = folder / str(max(_numbers(folder), default=int(FIRST) - 1) + 1)
    write_private(file, os.urandom(BYTES))
    return file


def _signing(folder: Path) -> Keys:
    found = {}
    for each in map(str, _numbers(folder)):
        try:
            found[each] = _read(folder / each)
        except KeyStoreError:
            if (folder / each).exists():  # else it was taken away since it was listed
                raise
    if not found:
        raise KeyStoreError(f"no key in {folder.name}; see lethe keys init")
    return found


def _numbers(folder: Path) -> list[int]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(each.name) for each in found if re.fullmatch("[1-9][0-9]{0,8}", each.name))


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError:
        content = b""
    if len(content) != BYTES:
        raise KeyStoreError(f"no key in {file.name}; see lethe keys init")
    return content
