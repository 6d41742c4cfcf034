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
  WHERE arrayExists(c0_element1 -> (JSONType(c0_element1, {c0_in1_key0:String}) = 'String' AND JSONExtractString(c0_element1, {c0_in1_key0:String}) = {c0_value:String}), JSONExtractArrayRaw(latest, {c0_key0:String}))
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
  WHERE arrayExists(c1_element1 -> (JSONType(c1_element1, {c1_in1_key0:String}) = 'String' AND JSONExtractString(c1_element1, {c1_in1_key0:String}) = {c1_value:String}), JSONExtractArrayRaw(latest, {c1_key0:String}))
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
  WHERE arrayExists(c2_element1 -> arrayExists(c2_in1_element1 -> NOT (JSONType(c2_in1_element1, {c2_in1_in1_key0:String}) = 'Null'), JSONExtractArrayRaw(c2_element1, {c2_in1_key0:String})), JSONExtractArrayRaw(latest, {c2_key0:String}))
),
-- conditions[3]: user_property
c3 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE arrayExists(c3_element1 -> (JSONType(c3_element1) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND startsWith(JSONExtractString(c3_element1), {c3_text:String})), JSONExtractArrayRaw(latest, {c3_key0:String}))
)
SELECT user_id
FROM (
  SELECT user_id
  FROM users
  GROUP BY user_id
  HAVING min(first_seen) <= {at:DateTime64(3, 'UTC')}
)
WHERE user_id IN c0
  OR user_id NOT IN c1
  OR user_id IN c2
  OR user_id IN c3

-- c0_key0 = 'items'
-- c0_in1_key0 = 'sku'
-- c0_value = 'apple'
-- c1_key0 = 'items'
-- c1_in1_key0 = 'sku'
-- c1_value = 'apple'
-- c2_key0 = 'orders'
-- c2_in1_key0 = 'items'
-- c2_in1_in1_key0 = 'sku'
-- c3_key0 = 'tags'
-- c3_text = 'go'
