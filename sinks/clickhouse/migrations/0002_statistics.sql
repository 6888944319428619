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
    made_at DateTime('UTC') DEFAULT now()
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
    closed_at DateTime('UTC') COMMENT 'when that revision was made',
    published_to DateTime('UTC') COMMENT 'the last load that is in the statistics',
    seen_to DateTime('UTC') COMMENT 'the last load that was looked at',
    facts_from DateTime('UTC') COMMENT 'the first load: from here the events are kept',
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

-- What is counted: each event once for every cell it lies in, in every tree. Bots are left out.
-- FINAL comes before any condition, so that of an event loaded twice the first is counted or none.
CREATE OR REPLACE VIEW $database.paths
AS SELECT site, day, loaded_at, visitor, leaf.1 AS tree, path
FROM
(
    SELECT
        site,
        toDate(occurred_at) AS day,
        loaded_at,
        visitor,
        arrayJoin([
            ('place', [
                if(country = '', '(unknown)', country),
                if(city = '', '(unknown)', city),
                formatDateTime(occurred_at, '%H')
            ]),
            ('content', [
                type,
                multiIf(
                    type = 'search', if(search_terms = '', '(not kept)', search_terms),
                    type = 'custom', if(name = '', '(unnamed)', name),
                    type = 'error', concat(toString(status), ' ', if(page = '', '(unknown)', page)),
                    if(page = '', '(unknown)', page)
                )
            ]),
            ('source', [if(referrer = '', '(direct)', referrer)]),
            ('browser', [
                if(browser = '', '(unknown)', browser),
                if(browser_version = '', '(unknown)', browser_version)
            ])
        ]::Array(Tuple(String, Array(String)))) AS leaf,
        arrayJoin(arrayMap(n -> arraySlice(leaf.2, 1, n), range(length(leaf.2) + 1))) AS path
    FROM $database.facts FINAL
    WHERE NOT bot
)
COMMENT 'Events by cell, before suppression.';
