-- What the leading relay says of distributing events, for those who cannot ask the broker. One row.
CREATE TABLE distribution (
    name          TEXT        PRIMARY KEY,
    published     BIGINT      NOT NULL,
    blocked_by    TEXT,
    blocked_since TIMESTAMPTZ,
    error         TEXT,
    told_at       TIMESTAMPTZ NOT NULL
);
GRANT SELECT ON distribution TO starscreen_operator;
GRANT SELECT, INSERT, UPDATE ON distribution TO starscreen_sequencer;
