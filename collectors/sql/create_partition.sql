CREATE TABLE {table}_{source} PARTITION OF {table} FOR VALUES IN ('{source}')
  WITH (autovacuum_vacuum_insert_threshold = 5000000, autovacuum_vacuum_insert_scale_factor = 0.5,
        autovacuum_analyze_threshold = 2000000, autovacuum_analyze_scale_factor = 0.5)
