DROP POLICY kept_for_a_day ON receipts;
REVOKE DELETE ON receipts FROM starscreen_worker;
DROP INDEX receipts_by_age;
