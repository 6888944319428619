-- Positions and outbox, consent with its proof, withdrawals, dispatchers, deliveries.
-- Creates tables only.

CREATE TABLE positions (
    reader TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    PRIMARY KEY (reader, topic, partition)
);

CREATE TABLE outbox (
    reader TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    number INTEGER NOT NULL,
    target TEXT NOT NULL,
    key $bytes NOT NULL,
    value $bytes,
    PRIMARY KEY (reader, topic, partition, "offset", number)
);

CREATE TABLE consents (
    site TEXT NOT NULL,
    visitor TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    standings JSON NOT NULL,
    spent JSON NOT NULL,
    PRIMARY KEY (site, visitor)
);

CREATE TABLE consent_changes (
    site TEXT NOT NULL,
    visitor TEXT NOT NULL,
    "offset" BIGINT NOT NULL,
    partition INTEGER NOT NULL,
    id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    decision TEXT NOT NULL,
    notice_id TEXT,
    notice_version TEXT,
    language TEXT,
    how TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (site, visitor, "offset")
);

CREATE TABLE withdrawals (
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    effective_at BIGINT,
    PRIMARY KEY (partition, "offset")
);

CREATE INDEX withdrawals_unsettled ON withdrawals (partition, "offset")
WHERE effective_at IS NULL;

CREATE TABLE dispatchers (
    partition INTEGER NOT NULL,
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (partition, provider)
);

CREATE TABLE deliveries (
    provider TEXT NOT NULL,
    event_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    site TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    ticket TEXT,
    begun_at BIGINT,
    at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (provider, event_id)
);

CREATE INDEX deliveries_open ON deliveries (provider, partition)
WHERE state IN ('claimed', 'accepted');
