SELECT to_regclass('events_' || $1) IS NOT NULL
