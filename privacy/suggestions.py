"""What is suggested to a person: content and contacts that go with their interests (S12).

Two interests go together as far as the same profiles have both: the cosine of the angle between
their columns in the matrix of all profiles and interests. What fewer than ``FEWEST`` profiles share
is not known here at all, so that a suggestion tells nothing of somebody else (k-anonymity).
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, diags_array

from privacy.policy import Profiles
from privacy.profile import fading

FEWEST = 10
MOST = 5  # suggestions of a kind


class Affinity(NamedTuple):
    """How much two interests go together, up to 1; an interest with itself does by 1."""

    interest: str
    other: str
    similarity: float


class Suggestions(NamedTuple):
    """Pages of the site, and names of the policy's contacts, the best first."""

    content: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()


def affinities(
    held: Iterable[tuple[str, str, float, int]], names: Sequence[str], today: int
) -> list[Affinity]:
    """Return what goes together in all profiles, pairs both ways, none that too few share.

    ``held`` are pseudonym, interest, weight and day of each interest; those not among ``names``,
    which are the policy's, are left out.
    """
    place = {name: number for number, name in enumerate(names)}
    rows: dict[str, int] = {}
    cells = [
        (rows.setdefault(pseudonym, len(rows)), place[name], weight * fading(max(today - day, 0)))
        for pseudonym, name, weight, day in held
        if name in place
    ]
    if not cells:
        return []
    of, which, weights = (np.array(each) for each in zip(*cells, strict=True))
    matrix = coo_array((weights, (of, which)), shape=(len(rows), len(names))).tocsc()
    present = matrix.astype(bool).astype(np.int64)
    shared = (present.T @ present).toarray()
    lengths = np.sqrt(matrix.power(2).sum(axis=0))
    scale = diags_array(1 / np.where(lengths > 0, lengths, 1))
    similar = (scale @ (matrix.T @ matrix) @ scale).toarray()
    return [
        Affinity(names[a], names[b], float(similar[a, b])) for a, b in np.argwhere(shared >= FEWEST)
    ]


def suggest(
    strengths: Mapping[str, float], known: Iterable[Affinity], rules: Profiles
) -> Suggestions:
    """Return what to suggest to a person with these interests and their strengths.

    Content are pages that the policy allows, by the interests whose patterns they match.
    """
    total = sum(strengths.values())
    scores: dict[str, float] = {}
    for interest, other, similarity in known:
        if share := strengths.get(interest, 0.0):
            scores[other] = scores.get(other, 0.0) + similarity * share / total
    pages = () if rules.content is None else rules.content.pages
    about = {
        page: [
            name
            for name, interest in rules.interests.items()
            if any(fnmatchcase(page, pattern) for pattern in interest.pages)
        ]
        for page in pages
    }
    return Suggestions(
        _best(about, scores),
        _best({name: each.interests for name, each in rules.contacts.items()}, scores),
    )


def _best(about: Mapping[str, Sequence[str]], scores: Mapping[str, float]) -> tuple[str, ...]:
    """Return what is about interests with a score, the highest first, the policy's order else."""
    found = {
        each: max((scores.get(name, 0.0) for name in names), default=0.0)
        for each, names in about.items()
    }
    ordered = sorted((each for each, score in found.items() if score > 0), key=lambda e: -found[e])
    return tuple(ordered[:MOST])
