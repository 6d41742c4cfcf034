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
  WHERE NOT ((ifNull(toDecimal128OrNull(if(match(JSONExtractString(latest, {c0_p0_key0:String}), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$'), JSONExtractString(latest, {c0_p0_key0:String}), ''), 9) IN arrayMap(x -> toDecimal128(x, 9), {c0_p0_numbers:Array(String)}), false) OR JSONExtractRaw(latest, {c0_p0_key0:String}) IN {c0_p0_booleans:Array(String)} OR (JSONType(latest, {c0_p0_key0:String}) = 'String' AND JSONExtractString(latest, {c0_p0_key0:String}) IN {c0_p0_texts:Array(String)})) OR NOT (((JSONType(latest, {c0_p1_key0:String}) = 'String' AND JSONExtractString(latest, {c0_p1_key0:String}) IN {c0_p1_texts:Array(String)}))))
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
-- c0_p0_numbers = ['10.000000000', '10.000000000']
-- c0_p0_booleans = ['true']
-- c0_p0_texts = ['gold']
-- c0_p1_key0 = 'p'
-- c0_p1_texts = ['silver']
