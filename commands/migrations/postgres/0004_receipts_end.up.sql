-- Receipts are kept for some days. Workers remove old ones; the database lets them remove none that is younger than a
-- day, and nobody change one.
CREATE INDEX receipts_by_age ON receipts (created_at_ms);
GRANT DELETE ON receipts TO starscreen_worker;
CREATE POLICY kept_for_a_day ON receipts AS RESTRICTIVE FOR DELETE TO starscreen_worker
    USING (created_at_ms < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 86400000);
