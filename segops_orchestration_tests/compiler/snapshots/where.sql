WITH
-- conditions[0]: event_count
c0 AS (
  SELECT user_id
  FROM events FINAL
  WHERE event_type = {c0_event_type:String}
    AND occurred_at <= {at:DateTime64(3, 'UTC')}
    AND (JSONType(payload, {c0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_where0_key0:String}) = {c0_where0_value:String})
    AND NOT (NOT (JSONType(payload, {c0_where1_key0:String}) = 'Null'))
  GROUP BY user_id
  HAVING count() >= {c0_value:UInt64}
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_where0_key0 = 'plan'
-- c0_where0_value = 'gold'
-- c0_where1_key0 = 'coupon'
-- c0_value = 2
