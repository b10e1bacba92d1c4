SELECT event_id FROM revenue WHERE source = $1 AND event_id = ANY ($2::text[])
