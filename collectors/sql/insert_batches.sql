INSERT INTO batches
       (stream, source, stream_seq, message_id, correlation_id, events, inserted, duplicates, dead_lettered,
        sender)
SELECT $1, $2, line.*
  FROM unnest($3::bigint[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::int[],
              $10::text[]) AS line
    ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
