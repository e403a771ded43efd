DROP VIEW history;
DROP TABLE analytics_grants, dead_work, lane_pauses, work, candidate_index, credentials, subject_keys, receipts, leaders, installation, sequencer, positions,
    events;
DROP FUNCTION refuse(), current_epoch();
DROP TABLE epochs;
DROP FUNCTION tenants();
