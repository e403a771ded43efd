-- What operators see and steer.

-- Lanes that give no work away: an operator said so, or a model refuses (a bad key, no credit) and a try is due later.
CREATE TABLE lane_pauses (
    lane     TEXT PRIMARY KEY,
    reason   TEXT    NOT NULL,
    since_ms INTEGER NOT NULL,
    -- When the next try is due; NULL: when an operator says so.
    until_ms INTEGER
) STRICT, WITHOUT ROWID;

-- What was given up or purged, until it is redriven. The failure itself is an event.
CREATE TABLE dead_work (
    id         BLOB PRIMARY KEY,
    lane       TEXT    NOT NULL,
    tenant_id  BLOB    NOT NULL,
    subject    BLOB    NOT NULL,
    code       TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    last_error TEXT    NOT NULL,
    died_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_work_subject ON dead_work (subject);
