INSERT INTO revenue SELECT * FROM staged_revenue ON CONFLICT (source, event_id) DO NOTHING
