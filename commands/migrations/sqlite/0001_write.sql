-- The write side: events are the truth, the other tables are what they point to or ask for.

-- The first seven columns of the cqrs-es crates' table (aggregate_type … metadata) and what we add to them.
-- aggregate_id is text there, so it is here.
CREATE TABLE events (
    position        INTEGER PRIMARY KEY,
    tenant_id       BLOB,
    tenant_position INTEGER,
    aggregate_type  TEXT    NOT NULL,
    aggregate_id    TEXT    NOT NULL,
    sequence        INTEGER NOT NULL,
    event_type      TEXT    NOT NULL,
    event_version   TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    event_id        BLOB    NOT NULL UNIQUE,
    recorded_at     TEXT    NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, sequence),
    UNIQUE (tenant_id, tenant_position)
) STRICT;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- One row for each accepted command that carried an Idempotency-Key: the answer to give again.
CREATE TABLE receipts (
    tenant_id     BLOB    NOT NULL,
    key           TEXT    NOT NULL,
    request_hash  TEXT    NOT NULL,
    answer        TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;

-- Keys that open personal data, each wrapped by its tenant's key, that one by the master key. Outside the events and
-- outside their backups: destroying a row's key is what erases a person.
CREATE TABLE subject_keys (
    subject_id      BLOB PRIMARY KEY,
    tenant_id       BLOB    NOT NULL,
    wrapped         BLOB,
    destroyed_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    user_id       BLOB PRIMARY KEY,
    tenant_id     BLOB NOT NULL,
    password_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Candidates by job and content, for reactions and for finding the same file again.
CREATE TABLE candidate_index (
    candidate_id BLOB PRIMARY KEY,
    tenant_id    BLOB NOT NULL,
    job_id       BLOB NOT NULL,
    content_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX candidate_index_job ON candidate_index (tenant_id, job_id, candidate_id);
CREATE INDEX candidate_index_content ON candidate_index (tenant_id, content_hash);

-- What events asked for and nobody has finished yet. A finished item is deleted by the commit that reports it.
CREATE TABLE work (
    id              BLOB PRIMARY KEY,
    lane            TEXT    NOT NULL,
    urgent          INTEGER NOT NULL,
    tenant_id       BLOB    NOT NULL,
    subject         BLOB    NOT NULL,
    task            TEXT    NOT NULL,
    correlation_id  BLOB    NOT NULL,
    causation_id    BLOB    NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    -- May be claimed from then on: the end of a lease, or of a pause after a failed try.
    free_at_ms      INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    lease           BLOB,
    last_error      TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX work_claim ON work (lane, urgent, tenant_id, free_at_ms, id);
CREATE INDEX work_leased ON work (lane, tenant_id, free_at_ms) WHERE lease IS NOT NULL;
