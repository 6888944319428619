-- Cases with their keys, groups and service events; deletions with their receipts; who left a
-- mailing list; the policies that were in force. Creates tables only.

CREATE TABLE case_keys (
    case_id TEXT NOT NULL,
    department TEXT NOT NULL,
    wrapped $bytes NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (case_id, department)
);

CREATE TABLE key_uses (
    case_id TEXT NOT NULL,
    department TEXT NOT NULL,
    at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (case_id, department, at)
);

CREATE TABLE cases (
    case_id TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    group_id TEXT,
    site TEXT NOT NULL,
    subject TEXT,
    state TEXT NOT NULL,
    language TEXT,
    received_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    due_at BIGINT,
    key_version INTEGER NOT NULL,
    sealed JSON NOT NULL,
    settings JSON NOT NULL,
    further JSON
);

CREATE INDEX cases_group ON cases (service, group_id, state);

CREATE INDEX cases_subject ON cases (subject)
WHERE subject IS NOT NULL;

CREATE INDEX cases_due ON cases (due_at)
WHERE due_at IS NOT NULL;

CREATE TABLE groups (
    service TEXT NOT NULL,
    group_id TEXT NOT NULL,
    state TEXT NOT NULL,
    capacity INTEGER,
    settings JSON NOT NULL,
    PRIMARY KEY (service, group_id)
);

CREATE TABLE jobs (
    job_id TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    group_id TEXT,
    event TEXT NOT NULL,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL,
    begun_at BIGINT NOT NULL,
    finished_at BIGINT
);

CREATE INDEX jobs_unfinished ON jobs (begun_at)
WHERE finished_at IS NULL;

CREATE INDEX jobs_finished ON jobs (finished_at)
WHERE finished_at IS NOT NULL;

CREATE TABLE deletions (
    deletion_id TEXT NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL UNIQUE,
    service TEXT NOT NULL,
    departments JSON NOT NULL,
    holders JSON NOT NULL,
    cause TEXT NOT NULL,
    cause_id TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    shredded_at BIGINT,
    unreadable_at BIGINT,
    announced_at BIGINT,
    completed_at BIGINT,
    certificate JSON
);

CREATE INDEX deletions_latest ON deletions (requested_at);

CREATE INDEX deletions_to_shred ON deletions (requested_at)
WHERE shredded_at IS NULL;

CREATE INDEX deletions_to_scrub ON deletions (shredded_at)
WHERE shredded_at IS NOT NULL AND unreadable_at IS NULL;

CREATE INDEX deletions_to_announce ON deletions (unreadable_at)
WHERE unreadable_at IS NOT NULL AND announced_at IS NULL;

CREATE INDEX deletions_open ON deletions (deadline)
WHERE completed_at IS NULL;

CREATE TABLE receipts (
    deletion_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (deletion_id, holder)
);

CREATE TABLE unsubscribed (
    list TEXT NOT NULL,
    subject TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (list, subject)
);

CREATE TABLE policies (
    version TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    text TEXT NOT NULL
);
