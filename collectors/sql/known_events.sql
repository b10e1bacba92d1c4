SELECT event_id FROM events WHERE source = $1 AND event_id = ANY ($2::text[])
