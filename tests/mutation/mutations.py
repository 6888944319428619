"""The guards that Lethe's promises rest on, each taken out: what must turn red then.

A mutation is a change of one place in one file. Its tests are quick ones; whole-company tests see
the same, later.
"""

from dataclasses import dataclass

BARRIER = "consent barrier"
TOKEN = "deduplication token"
SUPPRESSION = "suppression list"
AWAIT = "dead-letter await"
CHECKPOINT = "wrapped-key checkpoint"
LEASE = "lease"

DISPATCH = "tests/unit/delivery/test_dispatch.py"
CONSENTS = "tests/integration/test_consent_barrier.py"
SETTLE = "tests/unit/delivery/test_settle.py"
ONCE = "tests/integration/pipeline/test_once.py"
FACTS = "tests/integration/clickhouse/test_facts.py"
HOLDS = "tests/unit/services/test_holds.py"
LISTS = "tests/unit/services/test_lists.py"
AWAITED = "tests/unit/lanes/test_awaited.py"
COMMAND = "tests/unit/services/test_lists_command.py"
DELIVER = "tests/unit/delivery/test_lane.py"
REMOVALS = "tests/unit/delivery/test_removals.py"
SHREDDING = "tests/integration/ledger/test_shredding.py"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A part of a ``guard`` taken out: ``before``, once in ``file``, becomes ``after``.

    ``tests`` are node ids; of one without parameters, one case at least must fail.
    """

    name: str
    guard: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "a dispatcher trusts what it knew",
        BARRIER,
        "streams/delivery/gate.py",
        "passed = await asyncio.to_thread(self._consents.barrier)",
        'self._knew = getattr(self, "_knew", None) or self._consents.barrier()\n'
        "        passed = self._knew",
        (
            f"{DISPATCH}::test_consent_is_looked_at_again_before_each_retry",
            f"{DISPATCH}::test_a_withdrawal_during_a_slow_claim_counts",
        ),
    ),
    Mutation(
        "changes are not read up to their end",
        BARRIER,
        "sinks/consent_barrier.py",
        "while any(self._next[each] < end for each, end in ends.items()):\n"
        "            if time.monotonic() > deadline:",
        "while False:\n            if time.monotonic() > deadline:",
        (
            f"{CONSENTS}::test_each_change_is_known_after_the_barrier_that_follows_it",
            f"{CONSENTS}::test_what_cannot_be_read_counts_as_a_no",
        ),
    ),
    Mutation(
        "lanes do not wait for the barrier",
        BARRIER,
        "streams/lanes/reader.py",
        "if messages and self.ready(stop):",
        "if messages:",
        ("tests/unit/lanes/test_reader.py::test_every_batch_is_taken_once_it_is_ready",),
    ),
    Mutation(
        "an insert has no token",
        TOKEN,
        "sinks/clickhouse/client.py",
        '{"insert_deduplication_token": token, "use_numpy": True, "strings_as_bytes": True},',
        '{"use_numpy": True, "strings_as_bytes": True},',
        (f"{FACTS}::test_the_same_range_twice_is_there_once",),
    ),
    Mutation(
        "a range is not announced",
        TOKEN,
        "streams/lanes/load.py",
        '        self._commit(partition, first, json.dumps({"end": last}))\n',
        "",
        (f"{ONCE}::test_a_range_that_was_announced_is_inserted_once",),
    ),
    Mutation(
        "a range's token is new each time",
        TOKEN,
        "streams/lanes/load.py",
        'f"{self._topic}:{partition}:{first}-{last}"',
        'f"{self._topic}:{partition}:{first}-{last}:{self._clock()}"',
        (f"{ONCE}::test_a_range_that_was_announced_is_inserted_once",),
    ),
    Mutation(
        "who was erased is not looked for",
        SUPPRESSION,
        "streams/cases/work.py",
        "self._erased = suppressed.of(connection, subjects)",
        "self._erased = {}",
        (f"{HOLDS}::test_what_an_erased_person_sent_before_ends_at_once",),
    ),
    Mutation(
        "an opt-out ends no subscription that comes late",
        SUPPRESSION,
        "streams/cases/work.py",
        "return None if wanted else ServiceEvent.UNSUBSCRIBED",
        "return None if wanted or True else ServiceEvent.UNSUBSCRIBED",
        (f"{LISTS}::test_a_subscription_that_was_made_before_and_comes_late_ends_at_once",),
    ),
    Mutation(
        "an import is held against no opt-out",
        SUPPRESSION,
        "lethe/cli/lists.py",
        "if subject in found:",
        "if not found:",
        (f"{COMMAND}::test_s5_addresses_that_unsubscribed_are_named_in_their_spelling",),
    ),
    *(
        Mutation(
            f"{lane} commits before its dead letters are stored",
            AWAIT,
            file,
            before,
            "",
            (test,),
        )
        for lane, file, before, test in (
            (
                "load",
                "streams/lanes/load.py",
                "        self._producer.stored()\n",
                f"{AWAITED}::test_nothing_is_committed_that_is_not_stored",
            ),
            (
                "anonymise",
                "streams/lanes/anonymise.py",
                "        self._producer.stored()\n",
                f"{AWAITED}::test_nothing_is_committed_that_is_not_stored",
            ),
            (
                "a ledgered lane",
                "streams/lanes/ledgered.py",
                "        producer.stored()\n",
                f"{AWAITED}::test_nothing_is_committed_that_is_not_stored",
            ),
            (
                "deliver",
                "streams/delivery/lane.py",
                "                await asyncio.to_thread(self._producer.stored)\n",
                f"{DELIVER}::test_nothing_is_committed_before_its_dead_letters_are_stored",
            ),
        )
    ),
    Mutation(
        "a failed delivery is not noticed",
        AWAIT,
        "sinks/kafka.py",
        "if self._producer.flush(seconds) or self._failed.is_set():",
        "if self._producer.flush(seconds) and self._failed.is_set():",
        ("tests/unit/lanes/test_producer.py::test_what_the_broker_does_not_store_is_noticed",),
    ),
    Mutation(
        "a key is called unreadable without a checkpoint",
        CHECKPOINT,
        "streams/deletion/shred.py",
        "if not self._ledger.checkpoint():",
        "if False:",
        (
            f"{SHREDDING}::test_no_byte_of_a_key_is_left_in_the_files",
            f"{SHREDDING}::test_nothing_is_unreadable_while_a_checkpoint_is_blocked[sqlite]",
        ),
    ),
    Mutation(
        "deleted bytes are not overwritten",
        CHECKPOINT,
        "sinks/sqlite.py",
        '    connection.execute("PRAGMA secure_delete=ON")\n',
        '    connection.execute("PRAGMA secure_delete=OFF")\n',
        (f"{SHREDDING}::test_no_byte_of_a_key_is_left_in_the_files",),
    ),
    Mutation(
        "the log is not truncated when a lane has erased",
        CHECKPOINT,
        "streams/lanes/ledgered.py",
        "self._to_scrub = not self._ledger.checkpoint()",
        "self._to_scrub = False",
        ("tests/unit/lanes/test_ledgered.py::test_of_whom_a_message_erases_no_file_keeps_a_byte",),
    ),
    Mutation(
        "the deadline is not looked at before the first byte",
        LEASE,
        "streams/delivery/http.py",
        "if clock() >= attempt.deadline:",
        "if False:",
        (f"{DISPATCH}::test_a_request_that_cannot_begin_within_the_lease_does_not",),
    ),
    Mutation(
        "a dispatcher sends without a lease",
        LEASE,
        "streams/delivery/gate.py",
        "        await asyncio.to_thread(self._book.hold, ours, until)\n",
        "",
        (f"{DISPATCH}::test_while_another_holds_the_partition_events_wait",),
    ),
    Mutation(
        "a lease that is over is free",
        LEASE,
        "streams/delivery/settle.py",
        "        kill(lease.process)\n    _drop",
        "    _drop",
        (f"{SETTLE}::test_a_late_dispatcher_is_killed_before_a_withdrawal_is_effective",),
    ),
    Mutation(
        "a withdrawal waits for no dispatcher",
        LEASE,
        "streams/delivery/settle.py",
        "last = min([*passed, waiting[-1].offset + 1]) - 1",
        "last = waiting[-1].offset",
        (
            f"{SETTLE}::test_a_withdrawal_is_effective_when_each_dispatcher_has_passed_it",
            f"{REMOVALS}::test_nothing_is_due_before_the_withdrawal_is_effective",
        ),
    ),
)
