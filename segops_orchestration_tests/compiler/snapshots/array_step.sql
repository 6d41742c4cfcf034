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
  WHERE NOT (arrayExists(c0_p0_element1 -> (JSONType(c0_p0_element1, {c0_p0_in1_key0:String}) = 'String' AND JSONExtractString(c0_p0_element1, {c0_p0_in1_key0:String}) = {c0_p0_value:String}), JSONExtractArrayRaw(latest, {c0_p0_key0:String})) OR NOT (arrayExists(c0_p1_element1 -> (JSONType(c0_p1_element1, {c0_p1_in1_key0:String}) = 'String' AND JSONExtractString(c0_p1_element1, {c0_p1_in1_key0:String}) = {c0_p1_value:String}), JSONExtractArrayRaw(latest, {c0_p1_key0:String}))) OR arrayExists(c0_p2_element1 -> arrayExists(c0_p2_in1_element1 -> NOT (JSONType(c0_p2_in1_element1, {c0_p2_in1_in1_key0:String}) = 'Null'), JSONExtractArrayRaw(c0_p2_element1, {c0_p2_in1_key0:String})), JSONExtractArrayRaw(latest, {c0_p2_key0:String})) OR arrayExists(c0_p3_element1 -> (JSONType(c0_p3_element1) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND startsWith(JSONExtractString(c0_p3_element1), {c0_p3_text:String})), JSONExtractArrayRaw(latest, {c0_p3_key0:String})))
)
SELECT user_id
FROM (
  SELECT user_id
  FROM users
  GROUP BY user_id
  HAVING min(first_seen) <= {at:DateTime64(3, 'UTC')}
)
WHERE user_id NOT IN c0

-- c0_p0_key0 = 'items'
-- c0_p0_in1_key0 = 'sku'
-- c0_p0_value = 'apple'
-- c0_p1_key0 = 'items'
-- c0_p1_in1_key0 = 'sku'
-- c0_p1_value = 'apple'
-- c0_p2_key0 = 'orders'
-- c0_p2_in1_key0 = 'items'
-- c0_p2_in1_in1_key0 = 'sku'
-- c0_p3_key0 = 'tags'
-- c0_p3_text = 'go'
