SELECT user_id
FROM users
WHERE user_id IN (
  SELECT user_id
  FROM users
  WHERE first_seen > {from_at:DateTime64(3, 'UTC')}
    AND first_seen <= {at:DateTime64(3, 'UTC')}
)
GROUP BY user_id
HAVING min(first_seen) > {from_at:DateTime64(3, 'UTC')}
UNION ALL
SELECT user_id
FROM events_by_time
WHERE event_type IN ({m0_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m0_age_ms:Int64}) AND occurred_at <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m0_age_ms:Int64})
UNION ALL
SELECT user_id
FROM events_by_time
WHERE event_type IN ({m1_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64}) AND occurred_at <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64})

-- m0_event_type0 = 'order_placed'
-- m0_age_ms = 2592000000
-- m1_event_type0 = 'order_placed'
-- m1_age_ms = 7776000000
