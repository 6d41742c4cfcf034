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
FROM events_by_user
WHERE event_type IN ({m0_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} AND occurred_at <= {at:DateTime64(3, 'UTC')}
  AND user_id IN (
  SELECT user_id
  FROM events_by_time
  WHERE event_type IN ({m0_event_type0:String})
    AND occurred_at > {from_at:DateTime64(3, 'UTC')} AND occurred_at <= {at:DateTime64(3, 'UTC')}
)
  AND event_type = {m0_match0_event_type:String} AND (JSONType(payload, {m0_match0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {m0_match0_where0_key0:String}) = {m0_match0_where0_value:String}) AND NOT (NOT (JSONType(payload, {m0_match0_where1_key0:String}) = 'Null'))
UNION ALL
SELECT user_id
FROM events_by_user
WHERE event_type IN ({m1_event_type0:String})
  AND occurred_at > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64}) AND occurred_at <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64})
  AND user_id IN (
  SELECT user_id
  FROM events_by_time
  WHERE event_type IN ({m1_event_type0:String})
    AND occurred_at > {from_at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64}) AND occurred_at <= {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({m1_age_ms:Int64})
)
  AND event_type = {m1_match0_event_type:String} AND (JSONType(payload, {m1_match0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {m1_match0_where0_key0:String}) = {m1_match0_where0_value:String}) AND NOT (NOT (JSONType(payload, {m1_match0_where1_key0:String}) = 'Null'))

-- m0_event_type0 = 'order_placed'
-- m0_match0_event_type = 'order_placed'
-- m0_match0_where0_key0 = 'plan'
-- m0_match0_where0_value = 'gold'
-- m0_match0_where1_key0 = 'coupon'
-- m1_event_type0 = 'order_placed'
-- m1_age_ms = 604800000
-- m1_match0_event_type = 'order_placed'
-- m1_match0_where0_key0 = 'plan'
-- m1_match0_where0_value = 'gold'
-- m1_match0_where1_key0 = 'coupon'
