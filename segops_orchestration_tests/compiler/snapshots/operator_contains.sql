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
  WHERE ((JSONType(latest, {c0_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c0_key0:String}), {c0_text:String}) > 0) OR arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {c0_element:String}), JSONExtractArrayRaw(latest, {c0_key0:String})))
),
-- conditions[1]: user_property
c1 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE ((JSONType(latest, {c1_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c1_key0:String}), {c1_text:String}) > 0) OR arrayExists(element -> ifNull(toDecimal128OrNull(if(match(JSONExtractString(element), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(element), ''), 9) = {c1_element:Decimal(38, 9)}, false), JSONExtractArrayRaw(latest, {c1_key0:String})))
),
-- conditions[2]: user_property
c2 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE ((JSONType(latest, {c2_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND position(JSONExtractString(latest, {c2_key0:String}), {c2_text:String}) > 0) OR arrayExists(element -> JSONExtractRaw(element) = {c2_element:String}, JSONExtractArrayRaw(latest, {c2_key0:String})))
)
SELECT user_id
FROM (
  SELECT user_id
  FROM users
  GROUP BY user_id
  HAVING min(first_seen) <= {at:DateTime64(3, 'UTC')}
)
WHERE user_id IN c0
  OR user_id IN c1
  OR user_id NOT IN c2

-- c0_key0 = 'p'
-- c0_text = 'gold'
-- c0_element = 'gold'
-- c1_key0 = 'p'
-- c1_text = '10'
-- c1_element = '10.000000000'
-- c2_key0 = 'p'
-- c2_text = 'true'
-- c2_element = 'true'
