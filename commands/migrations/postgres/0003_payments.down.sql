DROP INDEX work_due;
DROP POLICY claims ON events;
CREATE POLICY claims ON events TO starscreen_gateway
    USING (tenant_id IS NULL AND aggregate_type = 'email_claim');
