CREATE TEMPORARY TABLE IF NOT EXISTS staged_events (LIKE events) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS staged_demographics (LIKE demographics) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS staged_revenue (LIKE revenue) ON COMMIT DELETE ROWS;
TRUNCATE staged_events, staged_demographics, staged_revenue;
