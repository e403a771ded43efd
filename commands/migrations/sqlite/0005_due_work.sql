-- What is due at a time is looked for by its time: there is something for every tenant.
CREATE INDEX work_due ON work (free_at_ms, id) WHERE lane = 'clock';
