WITH
-- conditions[0], conditions[1], conditions[2]: user_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE NOT (((JSONType(latest, {c0_p0_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c0_p0_key0:String}), {c0_p0_text:String}) > 0) OR arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {c0_p0_element:String}), JSONExtractArrayRaw(latest, {c0_p0_key0:String}))) OR ((JSONType(latest, {c0_p1_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c0_p1_key0:String}), {c0_p1_text:String}) > 0) OR arrayExists(element -> ifNull(toDecimal128OrNull(if(match(JSONExtractString(element), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(element), ''), 9) = {c0_p1_element:Decimal(38, 9)}, false), JSONExtractArrayRaw(latest, {c0_p1_key0:String}))) OR NOT (((JSONType(latest, {c0_p2_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c0_p2_key0:String}), {c0_p2_text:String}) > 0) OR arrayExists(element -> JSONExtractRaw(element) = {c0_p2_element:String}, JSONExtractArrayRaw(latest, {c0_p2_key0:String})))))
)
SELECT user_id
FROM (
  SELECT user_id
  FROM users
  GROUP BY user_id
  HAVING min(first_seen) <= {at:DateTime64(3, 'UTC')}
)
WHERE user_id NOT IN c0

-- c0_p0_key0 = 'p'
-- c0_p0_text = 'gold'
-- c0_p0_element = 'gold'
-- c0_p1_key0 = 'p'
-- c0_p1_text = '10'
-- c0_p1_element = '10.000000000'
-- c0_p2_key0 = 'p'
-- c0_p2_text = 'true'
-- c0_p2_element = 'true'
