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
  WHERE (JSONType(latest, {c0_key0:String}) = 'String' AND JSONExtractString(latest, {c0_key0:String}) = {c0_value:String})
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
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c1_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c1_key0:String}), ''), 9) = {c1_value:Decimal(38, 9)}, false)
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
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c2_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c2_key0:String}), ''), 9) = {c2_value:Decimal(38, 9)}, false)
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
  WHERE JSONExtractRaw(latest, {c3_key0:String}) = {c3_value:String}
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
  UNION ALL
  SELECT user_id
  FROM c3
)

-- c0_key0 = 'p'
-- c0_value = 'gold'
-- c1_key0 = 'p'
-- c1_value = '10.000000000'
-- c2_key0 = 'p'
-- c2_value = '10.000000000'
-- c3_key0 = 'p'
-- c3_value = 'true'
