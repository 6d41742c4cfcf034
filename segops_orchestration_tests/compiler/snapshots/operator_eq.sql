WITH
-- conditions[0], conditions[1], conditions[2], conditions[3]: user_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE (JSONType(latest, {c0_p0_key0:String}) = 'String' AND JSONExtractString(latest, {c0_p0_key0:String}) = {c0_p0_value:String})
    OR ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p1_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p1_key0:String}), ''), 9) = {c0_p1_value:Decimal(38, 9)}, false)
    OR ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p2_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p2_key0:String}), ''), 9) = {c0_p2_value:Decimal(38, 9)}, false)
    OR JSONExtractRaw(latest, {c0_p3_key0:String}) = {c0_p3_value:String}
)
SELECT user_id
FROM c0

-- c0_p0_key0 = 'p'
-- c0_p0_value = 'gold'
-- c0_p1_key0 = 'p'
-- c0_p1_value = '10.000000000'
-- c0_p2_key0 = 'p'
-- c0_p2_value = '10.000000000'
-- c0_p3_key0 = 'p'
-- c0_p3_value = 'true'
