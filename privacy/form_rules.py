"""What one field of a form may hold, by its kind (S1)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from privacy.policy import FieldKind, FormField
from privacy.rules import Choice, Degrees, Flag, Rule, Text

# ISO 3166-1 alpha-2
COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM "
    "ZW"
)

_LINE = r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*$"
_LINES = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]*$"
_NO_CONTROLS = "must hold no control characters"

# A domain has two labels at least; what a mail system would have to quote is not taken.
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = rf'^[^\s@"(),:;<>\[\]\\\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,64}}@{_LABEL}(?:\.{_LABEL})+$'


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar."""

    doc: str

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""
        return {"type": "string", "format": "date"}

    def problem(self, value: object) -> str | None:
        """Return the rule that ``value`` breaks, without the value; None when it fits."""
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            try:
                date.fromisoformat(value)
            except ValueError:
                pass
            else:
                return None
        return "must be a day like 2026-11-24"


_RULES: Mapping[FieldKind, Callable[[FormField], Rule]] = {
    FieldKind.TEXT: lambda each: Text(each.title, 200, _LINE, _NO_CONTROLS),
    FieldKind.LONG_TEXT: lambda each: Text(each.title, 5_000, _LINES, _NO_CONTROLS),
    FieldKind.EMAIL: lambda each: Text(each.title, 254, _EMAIL, "must be an e-mail address"),
    FieldKind.PHONE: lambda each: Text(
        each.title,
        32,
        r"^\+?[0-9(][0-9 ()./-]{3,30}$",
        "must be a phone number: digits, spaces, ( ) . / - and + in front",
    ),
    FieldKind.COUNTRY: lambda each: Text(
        each.title,
        2,
        f"^(?:{COUNTRIES.replace(' ', '|')})$",
        "must be a country's code, two capitals (ISO 3166-1)",
    ),
    FieldKind.CHOICE: lambda each: Choice(each.title, each.options),
    FieldKind.DATE: lambda each: Day(each.title),
    FieldKind.BOOLEAN: lambda each: Flag(each.title),
    FieldKind.NUMBER: lambda each: Degrees(each.title, 2**53),
}


def rule(field: FormField) -> Rule:
    """Return what a field of a form may hold."""
    return _RULES[field.kind](field)
