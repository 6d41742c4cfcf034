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
  WHERE ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p0_key0:String}), ''), 9) > {c0_p0_value:Decimal(38, 9)}, false)
    OR ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p1_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p1_key0:String}), ''), 9) <= {c0_p1_value:Decimal(38, 9)}, false)
    OR ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c0_p2_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c0_p2_key0:String}), ''), 3, 'UTC') >= {c0_p2_value:DateTime64(3, 'UTC')}, false)
    OR ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c0_p3_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c0_p3_key0:String}), ''), 3, 'UTC') < {c0_p3_value:DateTime64(3, 'UTC')}, false)
)
SELECT user_id
FROM c0

-- c0_p0_key0 = 'p'
-- c0_p0_value = '10.000000000'
-- c0_p1_key0 = 'p'
-- c0_p1_value = '10.500000000'
-- c0_p2_key0 = 'p'
-- c0_p2_value = '2026-01-31 08:00:00.000'
-- c0_p3_key0 = 'p'
-- c0_p3_value = '2026-01-31 00:00:00.000'
