-- Anonymised events and where refused messages lie.
-- Blocks nothing. Forward only: dropping these tables loses what is in them.

CREATE TABLE IF NOT EXISTS $database.facts
(
    event_id FixedString(36),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    site LowCardinality(String),
    type LowCardinality(String),
    name LowCardinality(String),
    page String,
    referrer LowCardinality(String),
    search_terms String,
    status UInt16,
    country LowCardinality(String),
    city LowCardinality(String),
    browser LowCardinality(String),
    browser_version LowCardinality(String),
    bot Bool,
    visitor Int64 COMMENT 'daily hash; 0: not known',
    loaded_at DateTime('UTC') DEFAULT now(),
    -- Of several rows of one event the largest wins, which is the one that was loaded first.
    precedence UInt32 MATERIALIZED 4294967295 - toUnixTimestamp(loaded_at)
)
ENGINE = ${replicated}ReplacingMergeTree(precedence)
-- By month, not by day: an insert writes a part for each partition it touches.
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site, toDate(occurred_at), event_id)
TTL loaded_at + toIntervalHour($facts_hours)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    merge_with_ttl_timeout = 3600,
    old_parts_lifetime = 60
COMMENT 'One row an anonymised event; read with FINAL.';

CREATE TABLE IF NOT EXISTS $database.rejects
(
    id String COMMENT 'topic:partition:offset',
    at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    processor LowCardinality(String),
    step LowCardinality(String),
    reason LowCardinality(String),
    fields Array(LowCardinality(String)) COMMENT 'names, never values'
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY id
TTL toDateTime(at) + toIntervalDay(7)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'One row a refused message; read with FINAL.';
