-- What was reached at a provider, to be removed there after a withdrawal; whose withdrawals are.
-- Adds a table, columns that may be empty, and indexes. Withdrawals of before name nobody: nothing
-- was remembered yet that could be removed.

ALTER TABLE withdrawals ADD COLUMN site TEXT;

ALTER TABLE withdrawals ADD COLUMN visitor TEXT;

ALTER TABLE withdrawals ADD COLUMN purpose TEXT;

CREATE TABLE reached (
    provider TEXT NOT NULL,
    event_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    site TEXT NOT NULL,
    visitor TEXT NOT NULL,
    audience TEXT,
    ids JSON NOT NULL,
    purpose TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    due_at BIGINT,
    PRIMARY KEY (provider, event_id)
);

CREATE INDEX reached_visitor ON reached (site, visitor);

CREATE INDEX reached_due ON reached (provider, due_at)
WHERE due_at IS NOT NULL;

CREATE INDEX deliveries_at ON deliveries (at);

CREATE INDEX deliveries_kinds ON deliveries (provider, site, state, reason);
