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
  WHERE (JSONType(latest, {c0_p0_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND startsWith(JSONExtractString(latest, {c0_p0_key0:String}), {c0_p0_text:String}))
    OR (JSONType(latest, {c0_p1_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND endsWith(JSONExtractString(latest, {c0_p1_key0:String}), {c0_p1_text:String}))
    OR (JSONType(latest, {c0_p2_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND match(JSONExtractString(latest, {c0_p2_key0:String}), {c0_p2_pattern:String}))
)
SELECT user_id
FROM c0

-- c0_p0_key0 = 'p'
-- c0_p0_text = 'go'
-- c0_p1_key0 = 'p'
-- c0_p1_text = '0'
-- c0_p2_key0 = 'p'
-- c0_p2_pattern = '(?-s)^go+ld$'
