WITH
-- conditions[0]: monetary
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, toDecimal128OrNull(if(match(JSONExtractString(payload, {c0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(payload, {c0_key0:String}), ''), 9) AS amount
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
  )
  WHERE amount IS NOT NULL
  GROUP BY user_id
  HAVING max(amount) != {c0_value:Decimal(38, 9)}
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_value = '0.100000000'
-- c0_key0 = 'total'
