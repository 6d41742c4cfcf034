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
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_key0:String}), ''), 9) > {c0_value:Decimal(38, 9)}, false)
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
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c1_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c1_key0:String}), ''), 9) <= {c1_value:Decimal(38, 9)}, false)
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
  WHERE ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c2_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c2_key0:String}), ''), 3, 'UTC') >= {c2_value:DateTime64(3, 'UTC')}, false)
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
  WHERE ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c3_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c3_key0:String}), ''), 3, 'UTC') < {c3_value:DateTime64(3, 'UTC')}, false)
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
-- c0_value = '10.000000000'
-- c1_key0 = 'p'
-- c1_value = '10.500000000'
-- c2_key0 = 'p'
-- c2_value = '2026-01-31 08:00:00.000'
-- c3_key0 = 'p'
-- c3_value = '2026-01-31 00:00:00.000'
