INSERT INTO batches
       (stream, source, stream_seq, message_id, correlation_id, events, inserted, duplicates, dead_lettered, sender)
SELECT line.stream, $1, line.stream_seq, line.message_id, line.correlation_id,
       line.events, line.inserted, line.duplicates, line.dead_lettered, line.sender
  FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::int[], $10::text[])
    AS line (stream, stream_seq, message_id, correlation_id, events, inserted, duplicates, dead_lettered, sender)
    ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
