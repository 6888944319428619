"""Of whom people must be told who had their data erased, corrected or restricted (Art. 19 GDPR).

What an answer says of others is true on the day it is written: who has not confirmed is named, and
so is who offers no way to delete.
"""

from sqlalchemy import Connection

from privacy.ads import KEEPING, TITLES
from privacy.policy import Policy
from privacy.rights.plan import Act
from sinks.ledger import deletion, demands, requests
from streams.rights.demands import unanswered
from streams.rights.doing import Doing
from streams.rights.gather import visitor_of
from streams.rights.visitors import still_reached


def silent(connection: Connection, policy: Policy, doing: Doing) -> list[str]:
    """Return, as people know them, the recipients that have not confirmed their part."""
    name, who = doing.request.request_id, visitor_of(doing.asked)
    ended = [each.target for each in requests.steps(connection, name) if each.act == Act.END_CASE]
    holders = {
        *unanswered(connection, demands.of_request(connection, name)),
        *deletion.waits_for(connection, ended),
    }
    titles = [policy.holders[each].title for each in holders if each in policy.holders]
    providers = [] if who is None else still_reached(connection, doing, who)
    return sorted({*titles, *(TITLES[each] for each in providers)})


def keeping(connection: Connection, policy: Policy, doing: Doing) -> list[str]:
    """Return, of an erasure, the ad providers that keep what they were told of single visits."""
    acts = {each.act for each in requests.steps(connection, doing.request.request_id)}
    if Act.ERASE_VISITOR not in acts:
        return []
    return [TITLES[each] for each in policy.providers if each in KEEPING]
