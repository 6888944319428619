-- What analysts read: the revision in force, a view for each level of each tree.
-- Blocks nothing. Views hold no data: a later migration may replace them.

CREATE OR REPLACE VIEW $database.published
DEFINER = admin SQL SECURITY DEFINER
AS SELECT site, day, tree, path, length(path) AS depth, other, visitors, events
FROM $database.statistics
WHERE (site, day, revision) IN (SELECT site, day, revision FROM $database.periods FINAL)
COMMENT 'The revisions in force.';

CREATE OR REPLACE VIEW $database.totals_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    visitors,
    events
FROM $database.published
WHERE tree = 'place' AND depth = 0
COMMENT 'Visitors and events of a day.';

CREATE OR REPLACE VIEW $database.countries_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS country,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'place' AND depth = 1
COMMENT 'Visitors by country (ISO 3166 alpha-2). Cities by IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified.';

CREATE OR REPLACE VIEW $database.cities_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS country,
    path[-1] AS city,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'place' AND (depth = 2 OR depth = 1 AND other)
COMMENT 'Visitors by city; the rows of a day make up its total. Cities by IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified.';

CREATE OR REPLACE VIEW $database.cities_hourly
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    if(other, NULL, toUInt8OrZero(path[3])) AS hour,
    path[1] AS country,
    path[2] AS city,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'place' AND depth = 3
COMMENT 'Visitors by city and hour (UTC); hour NULL: the hours that are not shown. Cities by IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, modified.';

CREATE OR REPLACE VIEW $database.types_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS type,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 1
COMMENT 'Visitors by what they did.';

CREATE OR REPLACE VIEW $database.pages_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[2] AS page,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 2 AND path[1] = 'page_view'
COMMENT 'Visitors by page viewed.';

CREATE OR REPLACE VIEW $database.clicks_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[2] AS page,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 2 AND path[1] = 'click'
COMMENT 'Visitors who clicked, by page.';

CREATE OR REPLACE VIEW $database.searches_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[2] AS terms,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 2 AND path[1] = 'search'
COMMENT 'Visitors by what they searched, where a site keeps it.';

CREATE OR REPLACE VIEW $database.errors_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    toUInt16OrZero(splitByChar(' ', path[2], 2)[1]) AS status,
    if(other, path[2], splitByChar(' ', path[2], 2)[2]) AS page,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 2 AND path[1] = 'error'
COMMENT 'Visitors by HTTP status and page of an error; status 0: none given.';

CREATE OR REPLACE VIEW $database.custom_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[2] AS name,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'content' AND depth = 2 AND path[1] = 'custom'
COMMENT 'Visitors by custom event.';

CREATE OR REPLACE VIEW $database.referrers_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS referrer,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'source' AND depth = 1
COMMENT 'Visitors by the site they came from.';

CREATE OR REPLACE VIEW $database.browsers_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS browser,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'browser' AND depth = 1
COMMENT 'Visitors by browser family.';

CREATE OR REPLACE VIEW $database.browser_versions_daily
DEFINER = admin SQL SECURITY DEFINER
AS SELECT
    site,
    day,
    path[1] AS browser,
    path[-1] AS version,
    other,
    visitors,
    events
FROM $database.published
WHERE tree = 'browser' AND (depth = 2 OR depth = 1 AND other)
COMMENT 'Visitors by browser family and major version; the rows of a day make up its total.';
