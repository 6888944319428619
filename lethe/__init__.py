"""The front door: command line, SDK, engines without Docker.

The SDK is ``from lethe import Publisher, submit_form, submit_request, CaseReader, LetterReader,
RetentionWorker, RightsWorker``; each needs the base install alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lethe.case_keys import KeysUnavailableError
    from lethe.case_reader import Case, CaseReader, CasesRefusedError, Ended
    from lethe.forms import FormFailedError, FormRefusedError, submit_form
    from lethe.letters import Letter, LetterReader, LettersRefusedError
    from lethe.publisher import InvalidEventError, Publisher, PublishFailedError, Receipt
    from lethe.requests import (
        RequestFailedError,
        RequestRefusedError,
        Submitted,
        submit_request,
    )
    from lethe.retention import Deletion, Outcome, ReceiptFailedError, RetentionWorker
    from lethe.rights import Correction, Export, Handlers, Hold, HoldKind, RightsWorker

__all__ = [
    "Case",
    "CaseReader",
    "CasesRefusedError",
    "Correction",
    "Deletion",
    "Ended",
    "Export",
    "FormFailedError",
    "FormRefusedError",
    "Handlers",
    "Hold",
    "HoldKind",
    "InvalidEventError",
    "KeysUnavailableError",
    "Letter",
    "LetterReader",
    "LettersRefusedError",
    "Outcome",
    "PublishFailedError",
    "Publisher",
    "Receipt",
    "ReceiptFailedError",
    "RequestFailedError",
    "RequestRefusedError",
    "RetentionWorker",
    "RightsWorker",
    "Submitted",
    "submit_form",
    "submit_request",
]

_MODULES = {
    **dict.fromkeys(("Case", "CaseReader", "CasesRefusedError", "Ended"), "lethe.case_reader"),
    **dict.fromkeys(
        ("Deletion", "Outcome", "ReceiptFailedError", "RetentionWorker"), "lethe.retention"
    ),
    **dict.fromkeys(("FormFailedError", "FormRefusedError", "submit_form"), "lethe.forms"),
    **dict.fromkeys(("Letter", "LetterReader", "LettersRefusedError"), "lethe.letters"),
    **dict.fromkeys(
        ("RequestFailedError", "RequestRefusedError", "Submitted", "submit_request"),
        "lethe.requests",
    ),
    **dict.fromkeys(
        ("Correction", "Export", "Handlers", "Hold", "HoldKind", "RightsWorker"), "lethe.rights"
    ),
    "KeysUnavailableError": "lethe.case_keys",
}


def __getattr__(name: str) -> Any:
    """Import the SDK when it is asked for: the command line, which lives here too, is quicker."""
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "lethe.publisher")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
