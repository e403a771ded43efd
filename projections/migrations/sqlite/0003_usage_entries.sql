-- Paid plans, metered usage and the entries behind it. The projectors' versions have changed with their tables, so both
-- are rebuilt beside what is served meanwhile.

ALTER TABLE subscriptions ADD COLUMN grace_until TEXT;
ALTER TABLE subscriptions ADD COLUMN included INTEGER;
ALTER TABLE subscriptions ADD COLUMN price_amount INTEGER;
ALTER TABLE subscriptions ADD COLUMN price_currency TEXT;
ALTER TABLE subscriptions ADD COLUMN price_interval TEXT;
ALTER TABLE subscriptions ADD COLUMN price_overage INTEGER;
ALTER TABLE subscriptions ADD COLUMN scheduled_plan TEXT;
ALTER TABLE subscriptions ADD COLUMN scheduled_plan_display TEXT;
ALTER TABLE subscriptions ADD COLUMN scheduled_at TEXT;
ALTER TABLE subscriptions ADD COLUMN customer TEXT;
ALTER TABLE subscriptions ADD COLUMN paid_id TEXT;
ALTER TABLE subscriptions ADD COLUMN paid_price TEXT;
ALTER TABLE subscriptions ADD COLUMN paid_status TEXT;
ALTER TABLE subscriptions ADD COLUMN paid_cancel_at_period_end INTEGER;
ALTER TABLE subscriptions ADD COLUMN paid_period_end TEXT;

ALTER TABLE subscriptions__next ADD COLUMN grace_until TEXT;
ALTER TABLE subscriptions__next ADD COLUMN included INTEGER;
ALTER TABLE subscriptions__next ADD COLUMN price_amount INTEGER;
ALTER TABLE subscriptions__next ADD COLUMN price_currency TEXT;
ALTER TABLE subscriptions__next ADD COLUMN price_interval TEXT;
ALTER TABLE subscriptions__next ADD COLUMN price_overage INTEGER;
ALTER TABLE subscriptions__next ADD COLUMN scheduled_plan TEXT;
ALTER TABLE subscriptions__next ADD COLUMN scheduled_plan_display TEXT;
ALTER TABLE subscriptions__next ADD COLUMN scheduled_at TEXT;
ALTER TABLE subscriptions__next ADD COLUMN customer TEXT;
ALTER TABLE subscriptions__next ADD COLUMN paid_id TEXT;
ALTER TABLE subscriptions__next ADD COLUMN paid_price TEXT;
ALTER TABLE subscriptions__next ADD COLUMN paid_status TEXT;
ALTER TABLE subscriptions__next ADD COLUMN paid_cancel_at_period_end INTEGER;
ALTER TABLE subscriptions__next ADD COLUMN paid_period_end TEXT;

ALTER TABLE monthly_usage ADD COLUMN included INTEGER;
ALTER TABLE monthly_usage ADD COLUMN metered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE monthly_usage ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;

ALTER TABLE monthly_usage__next ADD COLUMN included INTEGER;
ALTER TABLE monthly_usage__next ADD COLUMN metered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE monthly_usage__next ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;

CREATE TABLE usage_entries (
    entry_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    usage_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    delta INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    candidates INTEGER NOT NULL,
    candidate BLOB,
    plan TEXT,
    monthly_limit INTEGER,
    included INTEGER,
    percent INTEGER,
    reason TEXT,
    actor TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    tenant_position INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_entries_list ON usage_entries (tenant_id, usage_id, position);

CREATE TABLE usage_entries__next (
    entry_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    usage_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    delta INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    candidates INTEGER NOT NULL,
    candidate BLOB,
    plan TEXT,
    monthly_limit INTEGER,
    included INTEGER,
    percent INTEGER,
    reason TEXT,
    actor TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    tenant_position INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_entries__next_list ON usage_entries__next (tenant_id, usage_id, position);
