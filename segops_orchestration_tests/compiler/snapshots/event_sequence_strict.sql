WITH
-- conditions[0]: event_sequence
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arraySort(groupArray((occurred_at, ingested_at, UUIDToNum(event_id), [event_type = {c0_step0:String}, event_type = {c0_step1:String}]))) AS history
    FROM events FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
      AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_window_ms:Int64})
      AND user_id IN (SELECT user_id FROM events FINAL WHERE event_type = {c0_step0:String}   AND occurred_at <= {at:DateTime64(3, 'UTC')}   AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_window_ms:Int64}) GROUP BY user_id)
    GROUP BY user_id
  )
  WHERE length(history) > 1
    AND arrayExists(i -> history[i + 0].4[1] AND history[i + 1].4[2] AND history[i + 0].1 < history[i + 1].1, range(1, length(history) - 1 + 1))
)
SELECT user_id
FROM c0

-- c0_step0 = 'page_viewed'
-- c0_step1 = 'order_placed'
-- c0_window_ms = 604800000
