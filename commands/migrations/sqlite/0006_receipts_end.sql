-- Receipts are kept for some days; the old ones are looked for by their age.
CREATE INDEX receipts_by_age ON receipts (created_at_ms);
