-- Read models: disposable, everything here is folded from events and can be rebuilt.
--
-- Each table has a double, `<table>__next`, with the same columns and indexes: a rebuild fills it and then takes the
-- table's place. A migration that changes a table changes both, and deletes its row in `projection`.

-- How far each projector has come, and what it is doing. A rebuild has a row of its own, named `<table>__next`.
CREATE TABLE projection (
    name TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    generation BLOB NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    updated_at TEXT NOT NULL
) STRICT;

-- Events that a projector could not fold, and those that wait behind them in the same row.
CREATE TABLE parked (
    projector TEXT NOT NULL,
    position INTEGER NOT NULL,
    row_key BLOB NOT NULL,
    event_type TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (projector, position)
) STRICT;
CREATE INDEX parked_row ON parked (projector, row_key, position);

CREATE TABLE candidate_status (
    candidate_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    status TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    phone TEXT,
    location TEXT,
    linkedin_url TEXT,
    github_url TEXT,
    portfolio_url TEXT,
    other_urls TEXT NOT NULL,
    original_filename TEXT NOT NULL,
    file_kind TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    text_key TEXT,
    failure_code TEXT,
    error_message TEXT,
    score INTEGER,
    sort_score INTEGER NOT NULL,
    needs_review TEXT NOT NULL,
    model TEXT,
    rubric_version INTEGER,
    uploaded_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX candidate_status_list ON candidate_status (tenant_id, job_id, sort_score DESC, uploaded_at, candidate_id);

CREATE TABLE candidate_status__next (
    candidate_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    job_id BLOB NOT NULL,
    status TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    phone TEXT,
    location TEXT,
    linkedin_url TEXT,
    github_url TEXT,
    portfolio_url TEXT,
    other_urls TEXT NOT NULL,
    original_filename TEXT NOT NULL,
    file_kind TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    text_key TEXT,
    failure_code TEXT,
    error_message TEXT,
    score INTEGER,
    sort_score INTEGER NOT NULL,
    needs_review TEXT NOT NULL,
    model TEXT,
    rubric_version INTEGER,
    uploaded_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX candidate_status__next_list ON candidate_status__next (tenant_id, job_id, sort_score DESC, uploaded_at, candidate_id);

CREATE TABLE evaluations (
    candidate_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    match_score INTEGER,
    model TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    rubric_version INTEGER NOT NULL,
    categories TEXT NOT NULL,
    evaluation TEXT,
    needs_review TEXT NOT NULL,
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE evaluations__next (
    candidate_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    match_score INTEGER,
    model TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    rubric_version INTEGER NOT NULL,
    categories TEXT NOT NULL,
    evaluation TEXT,
    needs_review TEXT NOT NULL,
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    job_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    location TEXT,
    work_authorization_required INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_message TEXT,
    job_config TEXT,
    created_by BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_list ON jobs (tenant_id, created_at DESC, job_id DESC);

CREATE TABLE jobs__next (
    job_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    location TEXT,
    work_authorization_required INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_message TEXT,
    job_config TEXT,
    created_by BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs__next_list ON jobs__next (tenant_id, created_at DESC, job_id DESC);

CREATE TABLE accounts (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    email TEXT NOT NULL,
    full_name TEXT,
    company_name TEXT,
    is_active INTEGER NOT NULL,
    is_verified INTEGER NOT NULL,
    is_admin INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts__next (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    email TEXT NOT NULL,
    full_name TEXT,
    company_name TEXT,
    is_active INTEGER NOT NULL,
    is_verified INTEGER NOT NULL,
    is_admin INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE subscriptions (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    plan TEXT NOT NULL,
    plan_display TEXT NOT NULL,
    status TEXT NOT NULL,
    monthly_limit INTEGER,
    anchor TEXT NOT NULL,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE subscriptions__next (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    plan TEXT NOT NULL,
    plan_display TEXT NOT NULL,
    status TEXT NOT NULL,
    monthly_limit INTEGER,
    anchor TEXT NOT NULL,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE monthly_usage (
    usage_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    period_start TEXT NOT NULL,
    period_end TEXT NOT NULL,
    plan TEXT NOT NULL,
    monthly_limit INTEGER,
    reserved INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    adjusted INTEGER NOT NULL,
    released INTEGER NOT NULL,
    used INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX monthly_usage_list ON monthly_usage (tenant_id, period_start);

CREATE TABLE monthly_usage__next (
    usage_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    period_start TEXT NOT NULL,
    period_end TEXT NOT NULL,
    plan TEXT NOT NULL,
    monthly_limit INTEGER,
    reserved INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    adjusted INTEGER NOT NULL,
    released INTEGER NOT NULL,
    used INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX monthly_usage__next_list ON monthly_usage__next (tenant_id, period_start);
