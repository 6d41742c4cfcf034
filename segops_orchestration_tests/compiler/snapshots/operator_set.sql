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
  WHERE NOT (NOT (JSONType(latest, {c0_p0_key0:String}) = 'Null') OR NOT (NOT (JSONType(latest, {c0_p1_key0:String}) = 'Null')) OR JSONExtractRaw(latest, {c0_p2_key0:String}) IN ('true', '"true"') OR JSONExtractRaw(latest, {c0_p3_key0:String}) IN ('false', '"false"'))
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
-- c0_p1_key0 = 'p'
-- c0_p2_key0 = 'p'
-- c0_p3_key0 = 'p'
