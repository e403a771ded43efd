-- What outages and archives ask to be remembered.

-- Since when the system that the item needs has been down for it; NULL: it answered the last time.
ALTER TABLE work ADD COLUMN failing_since_ms INTEGER;

-- Whether the resume came alone, so that a person waits for it, or with many others.
ALTER TABLE candidate_index ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
