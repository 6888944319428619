-- Facts of visitors whose data are restricted (Art. 18 GDPR), and days from which facts were taken.
-- Blocks nothing. Forward only: dropping facts_held loses what must be kept.

CREATE TABLE IF NOT EXISTS $database.facts_held
(
    hold_id String COMMENT 'the request whose hold it is',
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
    visitor Int64 COMMENT 'daily hash',
    loaded_at DateTime('UTC')
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (hold_id, site, toDate(occurred_at), event_id)
SETTINGS old_parts_lifetime = 60
COMMENT 'Counted by nobody and kept until the hold is lifted; read with FINAL.';

CREATE TABLE IF NOT EXISTS $database.facts_taken
(
    site LowCardinality(String),
    day Date,
    taken_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${replicated}ReplacingMergeTree(taken_at)
ORDER BY (site, day)
TTL taken_at + toIntervalDay(7)
COMMENT 'Days whose facts are not all there any more: what was published of them stays.';
