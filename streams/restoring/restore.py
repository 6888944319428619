"""Restoring the ledger from a backup, so that nobody comes back who was erased since.

    check     whether all that was erased since can be known: the journals, and what topics hold
    put       the ledger in its place, marked so that nothing else opens it
    redo      what the journals say was erased
    reread    the topics that the ledger is made of, from where the backup had come to
    remember  what ad providers may have got, and what may be on its way to them
    end       cases whose key was lost with the ledger, and erasures of visitors that were half done
    open      the mark is taken away when no byte of what was erased is in the files

It can be begun again at any point. Nobody may work meanwhile: a group somebody reads in is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from confluent_kafka import KafkaException
from sqlalchemy import Connection

from schemas.codec import decode
from schemas.registry import topics
from sinks import sqlite
from sinks.keys.keks import Keks, KeyStoreError, unwrap
from sinks.ledger import cases, inbox, redo, snapshot
from sinks.ledger import keys as wrapped_keys
from sinks.ledger.cases import Deletion
from sinks.ledger.journal import Journal, JournalError, Note
from sinks.ledger.ledger import JOURNAL, RESTORING, Ledger
from sinks.ledger.redo import Erasures
from sinks.places import Place
from streams import deletion as deleting
from streams.deletion.announce import DELETIONS, MAILING_CHANGES
from streams.restoring import archive, lost, reread, told
from streams.restoring.archive import BackupError, Manifest
from streams.rights.closing import Closing
from streams.settings import Settings
from streams.shared import Shared, erasures_folder, ledger_url, now, open_ledger
from streams.status import readers

MARGIN_MS = 600_000  # between hosts' clocks, and from a note to the end of its transaction
BYTES_TRIES = 30  # to empty the log, a second each

# What cannot be read again where it is gone from its topic; of everything else some work is lost.
NEEDED = ("consent-changes",)

_log = structlog.get_logger()


@dataclass(slots=True)
class Report:
    """What restoring did, and what it could not do."""

    made_at: int = 0
    redone: Mapping[str, int] = field(default_factory=dict)
    reread: dict[str, int] = field(default_factory=dict)  # messages, by topic
    gone: list[str] = field(default_factory=list)  # topics whose messages since are gone
    lost_cases: list[str] = field(default_factory=list)
    rectified: list[str] = field(default_factory=list)
    erased_again: int = 0  # visitors whose erasure is begun again
    still_held: int = 0  # restrictions that were lifted since, and hold again
    uncertain: int = 0  # events for providers that may have been sent


def restore(
    settings: Settings,
    file: Path,
    journals: Sequence[Path] = (),
    *,
    journal_lost: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Restore the ledger from a backup; see the module. ``journals`` are those of other hosts.

    ``journal_lost``: go on without a journal that is nowhere any more, by what the topics say;
    what that cannot bring back is in docs/backup.md. Raise BackupError that says what to do,
    LedgerError, LedgerFaultError, SettingsError and OSError.
    """
    try:
        return _Restore(settings, file, journals, journal_lost=journal_lost, tell=tell).run()
    except KafkaException as error:
        raise BackupError(f"{error.args[0].name()}: see that the broker runs, and nothing else "
                          "of this installation") from None  # fmt: skip
    except (JournalError, KeyStoreError) as error:
        raise BackupError(str(error)) from None


class _Restore:
    def __init__(
        self,
        settings: Settings,
        file: Path,
        journals: Sequence[Path],
        *,
        journal_lost: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._file = file
        self._journals = [Journal(erasures_folder(settings)), *map(Journal, journals)]
        self._journal_lost = journal_lost
        self._tell = tell
        shared = Shared(settings)
        self._places = shared.places
        self._policy = shared.known_policy
        self._report = Report()

    def run(self) -> Report:
        part = self._settings.data_dir / ".restoring.db"
        self._settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._require_nobody()
            self._tell("checking the backup")
            manifest = archive.unpack(self._file, part)
            self._report.made_at = manifest.made_at
            erasures, since = self._checked(manifest, part)
            self._tell("putting the ledger in its place")
            ledger = self._put(part)
        finally:
            sqlite.remove(part)
        try:
            self._bring_up(Shared(self._settings, ledger), manifest, erasures, since)
        finally:
            ledger.close()
        return self._report

    def _bring_up(
        self, shared: Shared, manifest: Manifest, erasures: Erasures, since: Mapping[str, reread.To]
    ) -> None:
        ledger = shared.ledger
        self._tell("erasing what was erased since")
        about = [*(f"cases-{each}" for each in self._policy.departments), MAILING_CHANGES]
        with ledger.transaction() as connection:
            redo.redo(connection, erasures, [self._settings.topic(each) for each in about])
        self._shred(shared)
        self._tell("reading the topics again")
        self._report.reread = reread.reread(shared, self._places, since)
        self._report.uncertain = told.remember(shared, self._places, manifest)
        with ledger.transaction() as connection:
            lost.hold_visitors(connection, erasures.held_visitors)
        self._report.erased_again = lost.erase_visitors(shared)
        self._report.lost_cases = lost.end_cases(shared, self._places)
        self._tell("looking that no byte of it is left")
        self._shred(shared)
        if self._policy.rights is not None:
            closing = Closing(self._policy, ledger, now)
            while closing.look():
                pass
        self._scrub(ledger)
        with ledger.transaction() as connection:
            inbox.unmark(connection, RESTORING)

    def _require_nobody(self) -> None:
        prefix = self._settings.kafka.prefix
        groups = [prefix + reader for reader, _ in readers(self._policy.holders)]
        if manned := self._places.manned(sorted({*groups})):
            raise BackupError(
                f"somebody reads as {', '.join(manned)}; stop every worker, collector and key "
                "server of this installation first"
            )

    def _checked(self, manifest: Manifest, part: Path) -> tuple[Erasures, dict[str, reread.To]]:
        """Return what is to be redone and read again. Raise BackupError where that is not known."""
        if manifest.prefix != self._settings.kafka.prefix:
            raise BackupError(f"the backup is of another installation: {manifest.prefix!r}")
        backup = Ledger.open(f"sqlite:///{part}", restoring=True)
        try:
            with backup.reading() as connection:
                come_to = inbox.come_to(connection)
                known = inbox.marks(connection, JOURNAL)
                self._require_keys(connection)
            self._require_journals(manifest, known)
            erasures = redo.gather(self._notes(manifest.made_at - MARGIN_MS))
            announced = self._announced(manifest)
            with backup.reading() as connection:
                before = cases.deleted(connection, announced.keys())
        finally:
            backup.close()
        missing = announced.keys() - before - erasures.case_ids
        if missing and not self._journal_lost:
            raise BackupError(
                f"the journal lacks {len(missing)} deletions that the broker knows: give the "
                "journal of each host with --journal, as it is now"
            )
        erasures.ended |= {announced[each].deletion_id: announced[each] for each in missing}
        self._report.redone = erasures.count()
        self._report.rectified = sorted(erasures.rectified)
        self._report.still_held = len(erasures.lifted)
        return erasures, self._to_reread(come_to)

    def _require_journals(self, manifest: Manifest, known: Mapping[str, int]) -> None:
        if self._journal_lost:
            return
        given = {each.id: each for j in self._journals if (each := j.identity()) is not None}
        if missing := known.keys() - given.keys():
            raise BackupError(
                f"the journals {', '.join(sorted(missing))} are missing: bring back "
                f"{erasures_folder(self._settings)}, and give those of other hosts with --journal"
            )
        if any(each.since > manifest.made_at for name, each in given.items() if name in known):
            raise BackupError(
                "the backup is older than what the journal of erasures goes back to: somebody "
                "erased would come back; use a newer backup"
            )

    def _notes(self, since: int) -> list[Note]:
        """Return what the journals say, the oldest first."""
        notes = [each for journal in self._journals for each in journal.notes(since)]
        return sorted(notes, key=lambda each: int(each["at"]))

    def _announced(self, manifest: Manifest) -> dict[str, Deletion]:
        """Return the deletions that the broker was told since, by case."""
        ends = manifest.ends.get(DELETIONS, {})
        since = {int(partition): end for partition, end in ends.items()}
        found: dict[str, Deletion] = {}
        for message in self._places.kept(self._settings.topic(DELETIONS), since):
            each = decode("deletion", message.value())
            service = self._policy.services.get(each["service"])
            departments = [] if service is None else list(service.departments)
            content = {name: lost.milliseconds(value) for name, value in each.items()}
            found[each["case_id"]] = Deletion(departments=departments, **content)
        return found

    def _require_keys(self, connection: Connection) -> None:
        """Raise KeyStoreError where the departments' keys are not those of the backup."""
        keks = Keks.under(self._settings.secrets)
        for department in self._policy.departments:
            for _, wrapped in wrapped_keys.after(connection, department, "", 1):
                try:
                    unwrap(keks.of(department), wrapped)
                except KeyStoreError as error:
                    raise BackupError(
                        f"{department}: {error}: it was rotated since. Put the keys of the "
                        "backup's time into <secrets>/keks, restore, and rotate again"
                    ) from None

    def _to_reread(self, come_to: Mapping[str, Mapping[Place, int]]) -> dict[str, reread.To]:
        """Return from where to where each reader reads again. Raise BackupError."""
        found: dict[str, reread.To] = {}
        for reader, topic in readers(self._policy.holders):
            if reader not in reread.IN_LEDGER:
                continue
            name, done = self._settings.topic(topic), come_to.get(reader, {})
            for place, (low, high) in self._places.ends([name]).items():
                following = done.get(place, -1) + 1
                if following > high:
                    raise BackupError(
                        f"{topic} ends before what the backup has read of it: this is not the "
                        "broker it was made with, or its topics were made anew"
                    )
                if following < low:
                    self._gap(topic)
                found.setdefault(reader, {})[place] = (max(following, low), high)
        return found

    def _gap(self, topic: str) -> None:
        if topic in NEEDED:
            days = int(topics()[topic].config["retention.ms"]) / 86_400_000
            raise BackupError(
                f"the backup is older than {days:g} days: what was said on {topic} since is gone "
                "in part, withdrawals among it; use a newer backup"
            )
        if topic not in self._report.gone:
            self._report.gone.append(topic)

    def _put(self, part: Path) -> Ledger:
        url = ledger_url(self._settings)
        if url.get_backend_name() == "sqlite":
            snapshot.put_file(part, Path(url.database or ""))
            return open_ledger(self._settings, restoring=True)
        ledger = open_ledger(self._settings, restoring=True)
        snapshot.put(part, ledger)
        return ledger

    def _shred(self, shared: Shared) -> None:
        """Have cases that ended be gone. That the broker is told is left to the worker."""
        if self._policy.services:
            shredder = deleting.shredder(shared, shared.producer("delete"))
            while shredder.shred():
                pass

    @staticmethod
    def _scrub(ledger: Ledger) -> None:
        for _ in range(BYTES_TRIES):
            if ledger.checkpoint():
                return
        raise BackupError("somebody reads the ledger; end that, and run it again")
