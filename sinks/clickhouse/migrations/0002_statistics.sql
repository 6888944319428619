-- Published statistics and the state of each day.
-- Blocks nothing. Forward only: the statistics of days whose events are erased cannot be remade.

CREATE TABLE IF NOT EXISTS $database.statistics
(
    site LowCardinality(String),
    day Date,
    revision UInt64,
    tree LowCardinality(String),
    path Array(String) COMMENT 'from the root; the root itself is empty',
    other Bool COMMENT 'the sum of the children that are not shown',
    visitors UInt64 COMMENT 'rounded',
    events UInt64 COMMENT 'rounded',
    made_at DateTime DEFAULT now()
)
ENGINE = ${replicated}MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, day, revision, tree, path)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    old_parts_lifetime = 60
COMMENT 'Cells that may be shown, and no others; one revision a day is in force.';

CREATE TABLE IF NOT EXISTS $database.periods
(
    site LowCardinality(String),
    day Date,
    revision UInt64 COMMENT 'of the statistics in force',
    closed_at DateTime COMMENT 'when that revision was made',
    published_to DateTime COMMENT 'the last load that is in the statistics',
    seen_to DateTime COMMENT 'the last load that was looked at',
    facts_from DateTime COMMENT 'the first load: from here the events are kept',
    late_events UInt64 COMMENT 'not in the statistics: they came too late',
    version UInt64 DEFAULT toUnixTimestamp64Nano(now64(9))
)
ENGINE = ${replicated}ReplacingMergeTree(version)
ORDER BY (site, day)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'One row a closed day of a site; read with FINAL.';
