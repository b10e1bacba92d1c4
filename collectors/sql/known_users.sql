SELECT user_id FROM demographics WHERE source = $1 AND user_id = ANY ($2::text[])
