WITH
-- conditions[0], conditions[1]: user_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM identifications FINAL
    WHERE occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE NOT ((ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p0_key0:String}), ''), 9) >= {c0_p0_value:Decimal(38, 9)}, false) AND ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p0_key0:String}), ''), 9) <= {c0_p0_value2:Decimal(38, 9)}, false)) OR NOT ((ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c0_p1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c0_p1_key0:String}), ''), 3, 'UTC') >= {c0_p1_value:DateTime64(3, 'UTC')}, false) AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(latest, {c0_p1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(latest, {c0_p1_key0:String}), ''), 3, 'UTC') <= {c0_p1_value2:DateTime64(3, 'UTC')}, false))))
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
-- c0_p0_value = '1.000000000'
-- c0_p0_value2 = '2.000000000'
-- c0_p1_key0 = 'p'
-- c0_p1_value = '2026-01-01 00:00:00.000'
-- c0_p1_value2 = '2026-01-31 00:00:00.000'
