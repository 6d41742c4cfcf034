WITH
-- conditions[0]: regularity
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, count() AS happened
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
      AND occurred_at > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_oldest_ms:Int64})
    GROUP BY user_id, intDiv(toUnixTimestamp64Milli({at:DateTime64(3, 'UTC')}) - toUnixTimestamp64Milli(occurred_at), {c0_period_ms:Int64})
  )
  GROUP BY user_id
  HAVING countIf(happened >= {c0_value:UInt64}) >= {c0_min_periods:UInt64}
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_oldest_ms = 2419200000
-- c0_period_ms = 604800000
-- c0_value = 2
-- c0_min_periods = 3
