DROP TABLE usage_entries, usage_entries__next;

ALTER TABLE subscriptions
    DROP COLUMN grace_until,
    DROP COLUMN included,
    DROP COLUMN price_amount,
    DROP COLUMN price_currency,
    DROP COLUMN price_interval,
    DROP COLUMN price_overage,
    DROP COLUMN scheduled_plan,
    DROP COLUMN scheduled_plan_display,
    DROP COLUMN scheduled_at,
    DROP COLUMN customer,
    DROP COLUMN paid_id,
    DROP COLUMN paid_price,
    DROP COLUMN paid_status,
    DROP COLUMN paid_cancel_at_period_end,
    DROP COLUMN paid_period_end;
ALTER TABLE subscriptions__next
    DROP COLUMN grace_until,
    DROP COLUMN included,
    DROP COLUMN price_amount,
    DROP COLUMN price_currency,
    DROP COLUMN price_interval,
    DROP COLUMN price_overage,
    DROP COLUMN scheduled_plan,
    DROP COLUMN scheduled_plan_display,
    DROP COLUMN scheduled_at,
    DROP COLUMN customer,
    DROP COLUMN paid_id,
    DROP COLUMN paid_price,
    DROP COLUMN paid_status,
    DROP COLUMN paid_cancel_at_period_end,
    DROP COLUMN paid_period_end;

ALTER TABLE monthly_usage
    DROP COLUMN included,
    DROP COLUMN metered,
    DROP COLUMN closed;
ALTER TABLE monthly_usage__next
    DROP COLUMN included,
    DROP COLUMN metered,
    DROP COLUMN closed;

-- The older program's projectors begin anew.
TRUNCATE subscriptions, subscriptions__next, monthly_usage, monthly_usage__next;
DELETE FROM projection WHERE name IN ('subscriptions', 'subscriptions__next', 'monthly_usage', 'monthly_usage__next',
    'usage_entries', 'usage_entries__next');
DELETE FROM parked WHERE projector IN ('subscriptions', 'subscriptions__next', 'monthly_usage', 'monthly_usage__next',
    'usage_entries', 'usage_entries__next');
