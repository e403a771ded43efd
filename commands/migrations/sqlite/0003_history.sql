-- The history as readers see it; on PostgreSQL it joins the events with the positions that the sequencer gave them.
CREATE VIEW history AS
SELECT position, tenant_id, tenant_position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
    metadata, event_id, recorded_at
FROM events;

-- Where the answer to give again has its event; a receipt is written before its event has a position.
ALTER TABLE receipts ADD COLUMN event_id BLOB;
