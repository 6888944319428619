-- What people ask of their rights, with the plan of each request and its answer; holds, and what
-- waits for their end; what holders outside are asked for. Adds tables, a column that may be empty,
-- and indexes.

CREATE TABLE requests (
    request_id TEXT NOT NULL PRIMARY KEY,
    "right" TEXT NOT NULL,
    ground TEXT,
    site TEXT NOT NULL,
    language TEXT NOT NULL,
    subject TEXT,
    has_visitor INTEGER NOT NULL,
    state TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    confirmed_by TEXT,
    deadline BIGINT NOT NULL,
    extended_because TEXT,
    planned_at BIGINT,
    verdict TEXT,
    refused JSON,
    answered_at BIGINT,
    closed_at BIGINT,
    due_at BIGINT,
    policy_version TEXT,
    sealed $bytes
);

CREATE INDEX requests_due ON requests (state, due_at);

CREATE INDEX requests_latest ON requests (received_at);

CREATE INDEX requests_subject ON requests (subject)
WHERE subject IS NOT NULL;

CREATE INDEX requests_named ON requests (state, received_at)
WHERE subject IS NOT NULL;

CREATE INDEX requests_open ON requests (deadline)
WHERE answered_at IS NULL;

CREATE INDEX requests_to_shred ON requests (answered_at)
WHERE answered_at IS NOT NULL AND closed_at IS NULL;

CREATE TABLE request_commands (
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    act TEXT NOT NULL,
    target TEXT NOT NULL,
    done_at BIGINT,
    outcome TEXT,
    PRIMARY KEY (request_id, number)
);

CREATE INDEX request_commands_to_do ON request_commands (request_id, number)
WHERE done_at IS NULL;

CREATE TABLE holds (
    hold_id TEXT NOT NULL,
    whose TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT,
    site TEXT,
    visitor TEXT,
    case_id TEXT,
    ground TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (hold_id, whose)
);

CREATE INDEX holds_subject ON holds (subject)
WHERE subject IS NOT NULL;

CREATE INDEX holds_visitor ON holds (site, visitor)
WHERE visitor IS NOT NULL;

CREATE INDEX holds_case ON holds (case_id)
WHERE case_id IS NOT NULL;

ALTER TABLE cases ADD COLUMN held TEXT;

CREATE INDEX cases_held ON cases (held)
WHERE held IS NOT NULL;

CREATE TABLE deferred (
    case_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    event JSON NOT NULL,
    PRIMARY KEY (case_id, number)
);

CREATE TABLE suppressed (
    subject TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    request_id TEXT NOT NULL
);

CREATE TABLE demands (
    demand_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    case_id TEXT NOT NULL,
    service TEXT NOT NULL,
    holders JSON NOT NULL,
    requested_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    completed_at BIGINT,
    shredded_at BIGINT
);

CREATE INDEX demands_request ON demands (request_id);

CREATE INDEX demands_open ON demands (deadline)
WHERE completed_at IS NULL;

CREATE INDEX demands_to_shred ON demands (completed_at)
WHERE completed_at IS NOT NULL AND shredded_at IS NULL;

CREATE INDEX demands_to_lapse ON demands (requested_at)
WHERE completed_at IS NULL AND shredded_at IS NULL;

CREATE TABLE demand_answers (
    demand_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at BIGINT NOT NULL,
    content $bytes,
    PRIMARY KEY (demand_id, holder)
);

CREATE TABLE answers (
    answer_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sealed $bytes,
    made_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    taken_at BIGINT
);

CREATE INDEX answers_taken ON answers (taken_at)
WHERE taken_at IS NOT NULL;

CREATE INDEX answers_request ON answers (request_id);

CREATE INDEX answers_kept ON answers (expires_at)
WHERE sealed IS NOT NULL;

CREATE TABLE visitor_facts (
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    act TEXT NOT NULL,
    site TEXT NOT NULL,
    visitor TEXT,
    asked_at BIGINT NOT NULL,
    done_at BIGINT,
    PRIMARY KEY (request_id, number)
);

CREATE INDEX visitor_facts_to_do ON visitor_facts (asked_at)
WHERE done_at IS NULL;

CREATE INDEX unsubscribed_subject ON unsubscribed (subject);

CREATE INDEX withdrawals_visitor ON withdrawals (site, visitor)
WHERE visitor IS NOT NULL;
