"""Make the keys and tokens that a policy's departments and holders and its forms need."""

from pathlib import Path

from privacy.policy import RIGHTS, Policy
from sinks import signing
from sinks.keys import intake
from sinks.keys.keks import Keks
from streams.keys import tokens


def prepare(secrets: Path, policy: Policy | None) -> list[str]:
    """Make what is missing, for its owner alone; return the files that were made.

    Without a department there is nothing to read, and without profiles nothing else is made.
    """
    if policy is None or not policy.departments:
        return intake.make_missing(secrets) if policy is not None and policy.profiles else []
    readers = tokens.readers(policy)
    keks = Keks.under(secrets).make_missing([RIGHTS, *readers])
    made = tokens.make_missing(secrets / tokens.FOLDER, readers)
    return [
        *(f"keks/{each}" for each in keks),
        *(f"{tokens.FOLDER}/{each}" for each in made),
        *intake.make_missing(secrets),
        *signing.make_missing(secrets),
    ]
