-- The write side: events are the truth, the other tables are what they point to or ask for.
-- Runs as starscreen_owner. Ids and texts compare byte by byte, as on SQLite.

CREATE FUNCTION tenants() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
    RETURN string_to_array(NULLIF(current_setting('starscreen.tenant', true), ''), ',')::uuid[];

-- A restore into a fresh cluster starts transaction ids anew: whoever restores raises the epoch.
CREATE TABLE epochs (
    epoch      INTEGER     PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO epochs (epoch) VALUES (1);

CREATE FUNCTION current_epoch() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog
    AS 'SELECT max(epoch) FROM write.epochs';

-- The columns of postgres-es's table (aggregate_type … metadata), so that it can read and append here too, and what we
-- add to them. A tenant's id comes with the event or from the session; recorded_at is the database's.
CREATE TABLE events (
    aggregate_type TEXT        COLLATE "C" NOT NULL,
    aggregate_id   TEXT        COLLATE "C" NOT NULL,
    sequence       BIGINT      NOT NULL CHECK (sequence > 0),
    event_type     TEXT        NOT NULL,
    event_version  TEXT        NOT NULL,
    payload        JSON        NOT NULL,
    metadata       JSON        NOT NULL,
    tenant_id      UUID        DEFAULT NULLIF(current_setting('starscreen.tenant', true), '')::uuid,
    event_id       UUID        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    recorded_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- In which order events were committed: see the sequencer.
    epoch          INTEGER     NOT NULL DEFAULT current_epoch(),
    txid           XID8        NOT NULL DEFAULT pg_current_xact_id(),
    id             BIGINT      GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE INDEX events_committed ON events (epoch, txid, id);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER events_are_never_truncated BEFORE TRUNCATE ON events EXECUTE FUNCTION refuse();

-- The order of history, gapless, given by the sequencer once and for all.
CREATE TABLE positions (
    position        BIGINT      PRIMARY KEY,
    id              BIGINT      NOT NULL UNIQUE REFERENCES events (id),
    tenant_id       UUID,
    tenant_position BIGINT,
    -- That of the event, but never before that of the position before.
    recorded_at     TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, tenant_position)
);
CREATE TRIGGER positions_are_never_changed BEFORE UPDATE OR DELETE ON positions FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER positions_are_never_truncated BEFORE TRUNCATE ON positions EXECUTE FUNCTION refuse();

-- The last event that has a position.
CREATE TABLE sequencer (
    only_one    BOOLEAN     PRIMARY KEY DEFAULT true CHECK (only_one),
    epoch       INTEGER     NOT NULL,
    txid        XID8        NOT NULL,
    id          BIGINT      NOT NULL,
    position    BIGINT      NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);
INSERT INTO sequencer (epoch, txid, id, position, recorded_at) VALUES (0, '0', 0, 0, '-infinity');

-- Tells the master key that everything here is sealed under from others, and nothing else about it.
CREATE TABLE installation (
    only_one               BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_one),
    master_key_fingerprint TEXT    NOT NULL
);

-- Who leads, and when it last said so.
CREATE TABLE leaders (
    name         TEXT        PRIMARY KEY,
    process      TEXT        NOT NULL,
    backend_pid  INTEGER     NOT NULL,
    heartbeat_at TIMESTAMPTZ NOT NULL
);

CREATE VIEW history WITH (security_invoker = true) AS
SELECT placed.position, placed.tenant_id, placed.tenant_position, event.aggregate_type, event.aggregate_id,
    event.sequence, event.event_type, event.event_version, event.payload, event.metadata, event.event_id,
    placed.recorded_at
FROM positions AS placed JOIN events AS event ON event.id = placed.id;

-- One row for each accepted command that carried an Idempotency-Key: the answer to give again.
CREATE TABLE receipts (
    tenant_id     UUID   NOT NULL,
    key           TEXT   COLLATE "C" NOT NULL,
    request_hash  TEXT   NOT NULL,
    answer        TEXT   NOT NULL,
    position      BIGINT,
    event_id      UUID,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

-- Keys that open personal data, each wrapped by its tenant's key, that one by the master key. Outside the events and
-- outside their backups: destroying a row's key is what erases a person.
CREATE TABLE subject_keys (
    subject_id      UUID   PRIMARY KEY,
    tenant_id       UUID   NOT NULL,
    wrapped         BYTEA,
    destroyed_at_ms BIGINT
);

CREATE TABLE credentials (
    user_id       UUID PRIMARY KEY,
    tenant_id     UUID NOT NULL,
    password_hash TEXT NOT NULL
);

-- Candidates by job and content, for reactions and for finding the same file again.
CREATE TABLE candidate_index (
    candidate_id UUID PRIMARY KEY,
    tenant_id    UUID NOT NULL,
    job_id       UUID NOT NULL,
    content_hash TEXT COLLATE "C" NOT NULL,
    -- Whether the resume came alone, so that a person waits for it, or with many others.
    urgent       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX candidate_index_job ON candidate_index (tenant_id, job_id, candidate_id);
CREATE INDEX candidate_index_content ON candidate_index (tenant_id, content_hash);

-- What events asked for and nobody has finished yet. A finished item is deleted by the commit that reports it.
CREATE TABLE work (
    id              UUID   PRIMARY KEY,
    lane            TEXT   COLLATE "C" NOT NULL,
    urgent          BIGINT NOT NULL,
    tenant_id       UUID   NOT NULL,
    subject         UUID   NOT NULL,
    task            TEXT   NOT NULL,
    correlation_id  UUID   NOT NULL,
    causation_id    UUID   NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    -- May be claimed from then on: the end of a lease, or of a pause after a failed try.
    free_at_ms      BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    lease           UUID,
    last_error      TEXT,
    -- Since when the system that the item needs has been down for it; NULL: it answered the last time.
    failing_since_ms BIGINT
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX work_claim ON work (lane, urgent, tenant_id, free_at_ms, id);
CREATE INDEX work_leased ON work (lane, tenant_id, free_at_ms) WHERE lease IS NOT NULL;

-- Lanes that give no work away: an operator said so, or a model refuses (a bad key, no credit) and a try is due later.
CREATE TABLE lane_pauses (
    lane     TEXT   PRIMARY KEY,
    reason   TEXT   NOT NULL,
    since_ms BIGINT NOT NULL,
    -- When the next try is due; NULL: when an operator says so.
    until_ms BIGINT
);

-- What was given up or purged, until it is redriven. The failure itself is an event.
CREATE TABLE dead_work (
    id         UUID   PRIMARY KEY,
    lane       TEXT   COLLATE "C" NOT NULL,
    tenant_id  UUID   NOT NULL,
    subject    UUID   NOT NULL,
    code       TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT   NOT NULL,
    died_at_ms BIGINT NOT NULL
);
CREATE INDEX dead_work_subject ON dead_work (subject);

-- Tenants whose programs may read their events on NATS; of the token only its hash.
CREATE TABLE analytics_grants (
    tenant_id      UUID   PRIMARY KEY,
    token_hash     BYTEA  NOT NULL,
    granted_at_ms  BIGINT NOT NULL,
    after_position BIGINT NOT NULL
);

-- Who may do what. Nobody may change or delete events or positions.
GRANT USAGE ON SCHEMA write TO starscreen_gateway, starscreen_worker, starscreen_projector, starscreen_sequencer,
    starscreen_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA write TO starscreen_operator;

GRANT SELECT, INSERT ON events, receipts, subject_keys, candidate_index
    TO starscreen_gateway, starscreen_worker, starscreen_operator;
GRANT SELECT, INSERT ON credentials TO starscreen_gateway, starscreen_operator;
GRANT SELECT ON positions, history TO starscreen_gateway, starscreen_worker, starscreen_projector, starscreen_sequencer;
GRANT SELECT ON events TO starscreen_projector, starscreen_sequencer;
GRANT SELECT ON subject_keys TO starscreen_projector;
GRANT INSERT ON work TO starscreen_gateway;
GRANT SELECT, DELETE ON dead_work TO starscreen_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON work, lane_pauses, dead_work TO starscreen_worker, starscreen_operator;
GRANT SELECT, INSERT ON installation TO starscreen_gateway, starscreen_worker, starscreen_projector,
    starscreen_sequencer, starscreen_operator;
GRANT SELECT ON analytics_grants TO starscreen_sequencer;
GRANT INSERT, UPDATE, DELETE ON analytics_grants TO starscreen_operator;
GRANT INSERT ON positions TO starscreen_sequencer;
GRANT SELECT ON epochs TO starscreen_sequencer;
GRANT SELECT, UPDATE ON sequencer TO starscreen_sequencer;
GRANT SELECT, INSERT, UPDATE ON leaders TO starscreen_sequencer;

-- The gateway sees the tenants that its transaction names, and claims, which belong to none. The others cross tenants.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['events', 'positions', 'receipts', 'subject_keys', 'credentials', 'candidate_index',
        'work', 'dead_work', 'analytics_grants']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenants ON %I TO starscreen_gateway
            USING (tenant_id = ANY ((SELECT write.tenants())::uuid[]))', name);
        EXECUTE format('CREATE POLICY crossing ON %I TO starscreen_worker, starscreen_projector, starscreen_sequencer,
            starscreen_operator USING (true)', name);
    END LOOP;
END $$;
CREATE POLICY claims ON events TO starscreen_gateway
    USING (tenant_id IS NULL AND aggregate_type = 'email_claim');
CREATE POLICY claims ON positions TO starscreen_gateway USING (tenant_id IS NULL);
