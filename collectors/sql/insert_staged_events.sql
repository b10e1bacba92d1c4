INSERT INTO events SELECT * FROM staged_events ON CONFLICT (source, event_id) DO NOTHING RETURNING event_id
