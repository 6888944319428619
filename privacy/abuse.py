"""Who attacks a site, told from what its servers answered to whom (S8).

    brute_force  many requests refused for want of a right, or sent to a log-in that fails
    scan         many different pages that are not there, or that only attackers ask for
    flood        many requests
    errors       many failures of a site, whoever asked

A window is counted in sixths that begin on the clock, so that nothing but counts is remembered: a
request belongs to the sixth it was answered in, and counts with the five before. All of it is
bounded: sixths, different pages, and windows, of which the one unheard of for longest is forgotten
first.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

PARTS = 6  # of a window
MOST_PARTS = 4 * PARTS  # remembered of one who does something: some of an old log read late, too

_LOG_IN = re.compile(
    r"/(?:[^/]+/)*(?:log-?in|log-?on|sign-?in|auth|token|session|wp-login\.php|xmlrpc\.php)"
    r"(?:[./].*)?",
    re.IGNORECASE,
)
_PROBE = re.compile(
    r"/(?:\.(?:env|git|svn|hg|aws|ssh|ds_store|htaccess|htpasswd|vscode)\b.*"
    r"|(?:[^/]+/)*(?:wp-login\.php|xmlrpc\.php|wp-config.*|phpinfo\.php|setup\.php|shell\.php)"
    r"|(?:phpmyadmin|pma|myadmin|mysql|cgi-bin|actuator|solr|jenkins|manager/html|hnap1"
    r"|boaform|vendor/phpunit|_ignition|owa/auth|etc/passwd)\b.*"
    r"|.*(?:\.\./|etc/passwd|/proc/self).*)",
    re.IGNORECASE,
)


class Attack(StrEnum):
    """What somebody does."""

    BRUTE_FORCE = "brute_force"
    SCAN = "scan"
    FLOOD = "flood"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Rule:
    """At ``count`` within a window of ``seconds`` an alert is raised."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Rules:
    """When an alert is raised. ``error_share`` is the least share of failures among answers."""

    brute_force: Rule = Rule(30, 300)
    scan: Rule = Rule(20, 300)
    flood: Rule = Rule(300, 30)
    errors: Rule = Rule(60, 60)
    error_share: float = 0.2
    block_seconds: int = 600  # after the last request that raised it

    def rule(self, kind: Attack) -> Rule:
        """Return the rule of a kind."""
        found: Rule = getattr(self, kind.value)
        return found

    @property
    def longest_seconds(self) -> int:
        """Return the longest window."""
        return max(self.rule(kind).seconds for kind in Attack)


@dataclass(frozen=True, slots=True)
class Access:
    """A request that was answered. ``at`` in milliseconds since 1970; ``path`` is cleaned."""

    at: int
    site: str
    token: str | None = field(repr=False)
    method: str
    path: str = field(repr=False)
    status: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Somebody, or nobody in particular, did ``count`` of something within ``seconds``.

    ``count`` is the least it was. ``window`` numbers, since 1970, the whole windows on the clock:
    with kind, site and token it says which alert this is, wherever a reader began. ``until`` is how
    long to block, in ms since 1970.
    """

    kind: Attack
    site: str
    token: str | None = field(repr=False)
    at: int
    count: int
    seconds: int
    window: int
    until: int


class Watch:
    """Sees requests about in the order in which they came, and says when it is too much.

    An alert is raised once in each whole window on the clock.
    """

    def __init__(self, rules: Rules, most: int = 50_000) -> None:
        """Remember ``most`` windows at most."""
        self._rules = rules
        self._most = most
        # By kind, site and token; of all answers of a site there is no kind.
        self._windows: OrderedDict[tuple[Attack | None, str, str | None], _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def see(self, access: Access) -> Iterator[Alert]:
        """Yield the alerts that a request raises."""
        if access.token is not None:
            yield from self._seen(Attack.FLOOD, access, access.token)
            if _is_refused(access):
                yield from self._seen(Attack.BRUTE_FORCE, access, access.token)
            if _is_probe(access):
                yield from self._seen(Attack.SCAN, access, access.token, access.path)
        if access.site:
            part = self._part(Attack.ERRORS, access)
            answers = self._window(None, access.site, None)
            answers.add(part)
            if access.status >= 500:
                least = answers.total(part) * self._rules.error_share
                yield from self._seen(Attack.ERRORS, access, None, least=least)

    def _seen(
        self,
        kind: Attack,
        access: Access,
        token: str | None,
        what: str | None = None,
        *,
        least: float = 0.0,
    ) -> Iterator[Alert]:
        rule, part = self._rules.rule(kind), self._part(kind, access)
        window = self._window(kind, access.site, token)
        if what is None:
            window.add(part)
        else:
            window.add_different(part, what, rule.count)
        count = window.total(part)
        if count < max(rule.count, least) or not window.first(part // PARTS):
            return
        until = access.at + (self._rules.block_seconds * 1_000 if token else 0)
        yield Alert(kind, access.site, token, access.at, count, rule.seconds, part // PARTS, until)

    def _part(self, kind: Attack, access: Access) -> int:
        return access.at * PARTS // (self._rules.rule(kind).seconds * 1_000)

    def _window(self, kind: Attack | None, site: str, token: str | None) -> "_Window":
        key = kind, site, token
        window = self._windows.pop(key, None) or _Window()
        self._windows[key] = window
        if len(self._windows) > self._most:
            self._windows.popitem(last=False)
        return window


class _Window:
    """Counts, or different things, by sixth: the newest ones, and those that came last."""

    __slots__ = ("_newest", "_raised", "_sixths")

    def __init__(self) -> None:
        self._sixths: dict[int, int | set[int]] = {}
        self._newest = 0
        self._raised: list[int] = []

    def add(self, part: int) -> None:
        """Count something in a sixth."""
        there = self._touched(part)
        self._sixths[part] = 1 if there is None or isinstance(there, set) else there + 1

    def add_different(self, part: int, what: str, most: int) -> None:
        """Count what is different from all others of its window, ``most`` of them in a sixth."""
        there = self._touched(part)
        things = there if isinstance(there, set) else set()
        if len(things) < most:
            things.add(hash(what))
        self._sixths[part] = things

    def total(self, part: int) -> int:
        """Return how many there are in the window that ends with a sixth."""
        count = 0
        different: set[int] = set()
        for each in range(part - PARTS + 1, part + 1):
            there = self._sixths.get(each, 0)
            if isinstance(there, set):
                different |= there
            else:
                count += there
        return count + len(different)

    def first(self, number: int) -> bool:
        """Tell whether nothing was raised in a whole window before."""
        if number in self._raised:
            return False
        self._raised = [*self._raised[1 - MOST_PARTS :], number]
        return True

    def _touched(self, part: int) -> int | set[int] | None:
        """Return what is in a sixth, which is the last then; forget one where there are too many.

        Not one of the newest window: behind a log of long ago somebody may attack at this moment.
        """
        there = self._sixths.pop(part, None)
        self._newest = max(self._newest, part)
        if len(self._sixths) >= MOST_PARTS:
            oldest = self._newest - PARTS
            del self._sixths[next(each for each in self._sixths if each <= oldest)]
        return there


def reads_path(method: str, path: str, status: int) -> bool:
    """Tell whether it matters which page was asked for. Of all others nobody need know."""
    access = Access(0, "", None, method, path, status)
    return _is_probe(access) or (status not in {401, 403} and _is_refused(access))


def _is_refused(access: Access) -> bool:
    """Tell whether somebody was refused, or tried to log in and was not sent on."""
    if access.status in {401, 403}:
        return True
    return access.method == "POST" and access.status == 200 and bool(_LOG_IN.fullmatch(access.path))


def _is_probe(access: Access) -> bool:
    return access.status in {404, 410} or bool(_PROBE.fullmatch(access.path))
