"""Keys that intake needs besides those of cases: in files of 32 bytes, read at each use.

``<secrets>/subject-key`` tells whose a case is, and stays the same for ever: with another one
nobody's cases, and nobody's opt-outs, are found again. ``<secrets>/unsubscribe/<number>`` sign the
links at the foot of mails: the highest number signs, all verify.
"""

import os
import re
from pathlib import Path

from privacy.unsubscribe import Keys
from sinks.keys.keks import BYTES, KeyStoreError, write_private

SUBJECT = "subject-key"
UNSUBSCRIBE = "unsubscribe"
FIRST = "1"


def make_missing(secrets: Path) -> list[str]:
    """Make what lacks of a subject key and a first key for links; return what was made."""
    missing = [] if (secrets / SUBJECT).exists() else [SUBJECT]
    missing += [] if _numbers(secrets) else [f"{UNSUBSCRIBE}/{FIRST}"]
    for each in missing:
        write_private(secrets / each, os.urandom(BYTES))
    return missing


def subject_key(secrets: Path) -> bytes:
    """Return the key of subjects' ids. Raise KeyStoreError when there is none."""
    return _read(secrets / SUBJECT)


def unsubscribe_keys(secrets: Path) -> Keys:
    """Return the keys of links, the newest last. Raise KeyStoreError when there is none."""
    numbers = _numbers(secrets)
    if not numbers:
        raise KeyStoreError(f"no key in {UNSUBSCRIBE}; see lethe keys init")
    return {str(each): _read(secrets / UNSUBSCRIBE / str(each)) for each in numbers}


def add_unsubscribe_key(secrets: Path) -> str:
    """Make a key that signs links from now on, and return its number. Mails sent keep theirs."""
    number = str(max(_numbers(secrets), default=int(FIRST) - 1) + 1)
    write_private(secrets / UNSUBSCRIBE / number, os.urandom(BYTES))
    return number


def _numbers(secrets: Path) -> list[int]:
    folder = secrets / UNSUBSCRIBE
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
