INSERT INTO demographics SELECT * FROM staged_demographics ON CONFLICT (source, user_id) DO NOTHING
