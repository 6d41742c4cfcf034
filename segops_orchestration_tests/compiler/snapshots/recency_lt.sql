WITH
-- conditions[0]: recency
c0 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c0_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
    AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_window_ms:Int64})
  GROUP BY user_id
)
SELECT user_id
FROM c0

-- c0_window_ms = 2592000000
-- c0_event_type = 'order_placed'
