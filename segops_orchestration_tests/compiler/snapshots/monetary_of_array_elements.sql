WITH
-- conditions[0]: monetary
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, arrayJoin(arrayFlatten(arrayMap(c0_element -> arrayMap(c0_in_element -> toDecimal128OrNull(if(match(JSONExtractString(c0_in_element, {c0_in_in_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(c0_in_element, {c0_in_in_key0:String}), ''), 9), JSONExtractArrayRaw(c0_element, {c0_in_key0:String})), JSONExtractArrayRaw(payload, {c0_key0:String})))) AS amount
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
  )
  WHERE amount IS NOT NULL
  GROUP BY user_id
  HAVING round(sum(amount), 6) >= {c0_value:Decimal(38, 9)}
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_value = '5.000000000'
-- c0_key0 = 'orders'
-- c0_in_key0 = 'items'
-- c0_in_in_key0 = 'price'
