"""The fixed words of letters and answers, in the languages that people may choose.

All else that people read comes from the policy. Times are put in as ``{until}`` and the like; a
language lacks nothing, or a test and the type checker say so.
"""

from collections.abc import Mapping

from privacy.rights.words import de, en, fr, nl
from privacy.rights.words.shape import Words

_LANGUAGES: Mapping[str, Words] = {
    "en": en.WORDS,
    "nl": nl.WORDS,
    "fr": fr.WORDS,
    "de": de.WORDS,
}


def words(language: str) -> Words:
    """Return the words of a language; English for one that we do not speak."""
    return _LANGUAGES.get(language, en.WORDS)
