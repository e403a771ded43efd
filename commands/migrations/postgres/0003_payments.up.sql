-- Customers of the payment provider and its notices belong to no tenant, as claims do.
DROP POLICY claims ON events;
CREATE POLICY claims ON events TO starscreen_gateway
    USING (tenant_id IS NULL AND aggregate_type IN ('email_claim', 'customer', 'webhook'));
