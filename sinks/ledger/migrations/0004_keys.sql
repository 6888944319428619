-- Keys and their uses are found by their time: orphans, and what is old enough to be forgotten.
-- Adds indexes only.

CREATE INDEX case_keys_made ON case_keys (made_at);

CREATE INDEX key_uses_at ON key_uses (at);
