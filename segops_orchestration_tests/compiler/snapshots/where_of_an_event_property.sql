WITH
-- conditions[0]: event_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
      AND (JSONType(payload, {c0_where0_key0:String}) = 'String' AND JSONExtractString(payload, {c0_where0_key0:String}) = {c0_where0_value:String})
      AND NOT (NOT (JSONType(payload, {c0_where1_key0:String}) = 'Null'))
    GROUP BY user_id
  )
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_key0:String}), ''), 9) > {c0_value:Decimal(38, 9)}, false)
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_where0_key0 = 'plan'
-- c0_where0_value = 'gold'
-- c0_where1_key0 = 'coupon'
-- c0_key0 = 'total'
-- c0_value = '10.000000000'
