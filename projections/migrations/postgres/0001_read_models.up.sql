-- Read models: disposable, everything here is folded from events and can be rebuilt. Runs as starscreen_owner.
--
-- Each table has a double, `<table>__next`, with the same columns, indexes, policies and grants: a rebuild fills it and
-- then takes the table's place. A migration that changes a table changes both, and deletes its row in `projection`.
-- Text compares byte by byte and nothing that lists are sorted by is NULL, so that every back end sorts alike.

-- How far each projector has come, and what it is doing. A rebuild has a row of its own, named `<table>__next`.
CREATE TABLE projection (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    generation UUID NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    error TEXT COLLATE "C",
    updated_at TIMESTAMPTZ NOT NULL
);

-- Events that a projector could not fold, and those that wait behind them in the same row.
CREATE TABLE parked (
    projector TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    row_key UUID NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (projector, position)
);
CREATE INDEX parked_row ON parked (projector, row_key, position);

CREATE TABLE candidate_status (
    candidate_id UUID NOT NULL PRIMARY KEY,
    tenant_id UUID NOT NULL,
    job_id UUID NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    first_name TEXT COLLATE "C",
    last_name TEXT COLLATE "C",
    email TEXT COLLATE "C",
    phone TEXT COLLATE "C",
    location TEXT COLLATE "C",
    linkedin_url TEXT COLLATE "C",
    github_url TEXT COLLATE "C",
    portfolio_url TEXT COLLATE "C",
    other_urls JSONB NOT NULL,
    original_filename TEXT COLLATE "C" NOT NULL,
    file_kind TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    blob_key TEXT COLLATE "C" NOT NULL,
    text_key TEXT COLLATE "C",
    failure_code TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    score BIGINT,
    sort_score BIGINT NOT NULL,
    needs_review JSONB NOT NULL,
    hidden_text JSONB,
    model TEXT COLLATE "C",
    rubric_version BIGINT,
    uploaded_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);
CREATE INDEX candidate_status_list ON candidate_status (tenant_id, job_id, sort_score DESC, uploaded_at, candidate_id);

CREATE TABLE evaluations (
    candidate_id UUID NOT NULL PRIMARY KEY,
    tenant_id UUID NOT NULL,
    match_score BIGINT,
    model TEXT COLLATE "C" NOT NULL,
    prompt_version TEXT COLLATE "C" NOT NULL,
    rubric_version BIGINT NOT NULL,
    categories JSONB NOT NULL,
    evaluation JSONB,
    needs_review JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);

CREATE TABLE jobs (
    job_id UUID NOT NULL PRIMARY KEY,
    tenant_id UUID NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    location TEXT COLLATE "C",
    work_authorization_required BOOLEAN NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    error_message TEXT COLLATE "C",
    job_config JSONB,
    created_by UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);
CREATE INDEX jobs_list ON jobs (tenant_id, created_at DESC, job_id DESC);

CREATE TABLE accounts (
    tenant_id UUID NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    full_name TEXT COLLATE "C",
    company_name TEXT COLLATE "C",
    is_active BOOLEAN NOT NULL,
    is_verified BOOLEAN NOT NULL,
    is_admin BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);

CREATE TABLE subscriptions (
    tenant_id UUID NOT NULL PRIMARY KEY,
    plan TEXT COLLATE "C" NOT NULL,
    plan_display TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    monthly_limit BIGINT,
    anchor TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);

CREATE TABLE monthly_usage (
    usage_id UUID NOT NULL PRIMARY KEY,
    tenant_id UUID NOT NULL,
    period_start TIMESTAMPTZ NOT NULL,
    period_end TIMESTAMPTZ NOT NULL,
    plan TEXT COLLATE "C" NOT NULL,
    monthly_limit BIGINT,
    reserved BIGINT NOT NULL,
    committed BIGINT NOT NULL,
    adjusted BIGINT NOT NULL,
    released BIGINT NOT NULL,
    used BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    position BIGINT NOT NULL
);
CREATE INDEX monthly_usage_list ON monthly_usage (tenant_id, period_start);

GRANT SELECT, INSERT, UPDATE, DELETE ON projection, parked TO starscreen_projector, starscreen_operator;
-- Positions and counts are nobody's secret; whose rows are parked is.
GRANT SELECT ON projection TO starscreen_gateway;
GRANT SELECT (projector, position) ON parked TO starscreen_gateway;

-- The second wall between tenants: even a statement without a condition shows the gateway one tenant's rows.
DO $$
DECLARE
    model TEXT;
    side TEXT;
BEGIN
    FOREACH model IN ARRAY ARRAY['candidate_status', 'evaluations', 'jobs', 'accounts', 'subscriptions', 'monthly_usage']
    LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', model || '__next', model);
        FOREACH side IN ARRAY ARRAY[model, model || '__next'] LOOP
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', side);
            EXECUTE format(
                $policy$CREATE POLICY one_tenant ON %I FOR SELECT TO starscreen_gateway
                    USING (tenant_id = NULLIF(current_setting('starscreen.tenant', true), '')::uuid)$policy$, side);
            EXECUTE format(
                'CREATE POLICY all_tenants ON %I TO starscreen_projector, starscreen_operator USING (true)', side);
            EXECUTE format('GRANT SELECT ON %I TO starscreen_gateway', side);
            EXECUTE format(
                'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %I TO starscreen_projector, starscreen_operator',
                side);
        END LOOP;
    END LOOP;
END
$$;
