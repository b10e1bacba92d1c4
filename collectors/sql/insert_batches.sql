INSERT INTO batches
       (stream, source, stream_seq, message_id, correlation_id, events, inserted, duplicates, dead_lettered)
SELECT line.stream, $1, line.stream_seq, line.message_id, line.correlation_id,
       line.events, line.inserted, line.duplicates, line.dead_lettered
  FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::int[])
    AS line (stream, stream_seq, message_id, correlation_id, events, inserted, duplicates, dead_lettered)
    ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
