-- Paid plans, metered usage and the entries behind it. The projectors' versions have changed with their tables, so both
-- are rebuilt beside what is served meanwhile.

ALTER TABLE subscriptions
    ADD COLUMN grace_until TIMESTAMPTZ,
    ADD COLUMN included BIGINT,
    ADD COLUMN price_amount BIGINT,
    ADD COLUMN price_currency TEXT COLLATE "C",
    ADD COLUMN price_interval TEXT COLLATE "C",
    ADD COLUMN price_overage BIGINT,
    ADD COLUMN scheduled_plan TEXT COLLATE "C",
    ADD COLUMN scheduled_plan_display TEXT COLLATE "C",
    ADD COLUMN scheduled_at TIMESTAMPTZ,
    ADD COLUMN customer TEXT COLLATE "C",
    ADD COLUMN paid_id TEXT COLLATE "C",
    ADD COLUMN paid_price TEXT COLLATE "C",
    ADD COLUMN paid_status TEXT COLLATE "C",
    ADD COLUMN paid_cancel_at_period_end BOOLEAN,
    ADD COLUMN paid_period_end TIMESTAMPTZ;
ALTER TABLE subscriptions__next
    ADD COLUMN grace_until TIMESTAMPTZ,
    ADD COLUMN included BIGINT,
    ADD COLUMN price_amount BIGINT,
    ADD COLUMN price_currency TEXT COLLATE "C",
    ADD COLUMN price_interval TEXT COLLATE "C",
    ADD COLUMN price_overage BIGINT,
    ADD COLUMN scheduled_plan TEXT COLLATE "C",
    ADD COLUMN scheduled_plan_display TEXT COLLATE "C",
    ADD COLUMN scheduled_at TIMESTAMPTZ,
    ADD COLUMN customer TEXT COLLATE "C",
    ADD COLUMN paid_id TEXT COLLATE "C",
    ADD COLUMN paid_price TEXT COLLATE "C",
    ADD COLUMN paid_status TEXT COLLATE "C",
    ADD COLUMN paid_cancel_at_period_end BOOLEAN,
    ADD COLUMN paid_period_end TIMESTAMPTZ;

ALTER TABLE monthly_usage
    ADD COLUMN included BIGINT,
    ADD COLUMN metered BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN closed BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE monthly_usage__next
    ADD COLUMN included BIGINT,
    ADD COLUMN metered BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN closed BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE usage_entries (
    entry_id UUID NOT NULL PRIMARY KEY,
    tenant_id UUID NOT NULL,
    usage_id UUID NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    delta BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    candidates BIGINT NOT NULL,
    candidate UUID,
    plan TEXT COLLATE "C",
    monthly_limit BIGINT,
    included BIGINT,
    percent BIGINT,
    reason TEXT COLLATE "C",
    actor TEXT COLLATE "C" NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    tenant_position BIGINT NOT NULL,
    position BIGINT NOT NULL
);
CREATE INDEX usage_entries_list ON usage_entries (tenant_id, usage_id, position);
CREATE TABLE usage_entries__next (LIKE usage_entries INCLUDING ALL);

DO $$
DECLARE
    side TEXT;
BEGIN
    FOREACH side IN ARRAY ARRAY['usage_entries', 'usage_entries__next'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', side);
        EXECUTE format(
            $policy$CREATE POLICY one_tenant ON %I FOR SELECT TO starscreen_gateway
                USING (tenant_id = NULLIF(current_setting('starscreen.tenant', true), '')::uuid)$policy$, side);
        EXECUTE format(
            'CREATE POLICY all_tenants ON %I TO starscreen_projector, starscreen_operator USING (true)', side);
        EXECUTE format('GRANT SELECT ON %I TO starscreen_gateway', side);
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %I TO starscreen_projector, starscreen_operator', side);
    END LOOP;
END
$$;
