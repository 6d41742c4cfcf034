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
  WHERE (JSONType(latest, {c0_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND startsWith(JSONExtractString(latest, {c0_key0:String}), {c0_text:String}))
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
  WHERE (JSONType(latest, {c1_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND endsWith(JSONExtractString(latest, {c1_key0:String}), {c1_text:String}))
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
  WHERE (JSONType(latest, {c2_key0:String}) IN ('String', 'Int64', 'UInt64', 'Double', 'Bool') AND match(JSONExtractString(latest, {c2_key0:String}), {c2_pattern:String}))
)
SELECT DISTINCT user_id
FROM (
  SELECT user_id
  FROM c0
  UNION ALL
  SELECT user_id
  FROM c1
  UNION ALL
  SELECT user_id
  FROM c2
)

-- c0_key0 = 'p'
-- c0_text = 'go'
-- c1_key0 = 'p'
-- c1_text = '0'
-- c2_key0 = 'p'
-- c2_pattern = '(?-s)^go+ld$'
