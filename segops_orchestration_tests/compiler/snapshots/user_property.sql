WITH
-- conditions[0]: user_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_key0:String}, {c0_key1:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_key0:String}, {c0_key1:String}), ''), 9) = {c0_value:Decimal(38, 9)}, false)
)
SELECT user_id
FROM c0

-- c0_key0 = 'address'
-- c0_key1 = 'zip.code'
-- c0_value = '8000.000000000'
