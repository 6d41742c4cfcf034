WITH
-- conditions[0]: event_property
c0 AS (
  SELECT user_id
  FROM (
    SELECT user_id, argMax(payload, (occurred_at, ingested_at, UUIDToNum(event_id))) AS latest
    FROM events FINAL
    WHERE event_type = {c0_event_type:String}
      AND occurred_at <= {at:DateTime64(3, 'UTC')}
    GROUP BY user_id
  )
  WHERE arrayExists(c0_element -> JSONType(c0_element) = 'Object' AND (JSONType(c0_element, {c0_where0_key0:String}) = 'String' AND JSONExtractString(c0_element, {c0_where0_key0:String}) = {c0_where0_value:String}) AND ifNull(parseDateTime64BestEffortOrNull(if(match(JSONExtractString(c0_element, {c0_where1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(c0_element, {c0_where1_key0:String}), ''), 3, 'UTC') > {at:DateTime64(3, 'UTC')} - toIntervalMillisecond({c0_where1_value_ms:Int64}) AND parseDateTime64BestEffortOrNull(if(match(JSONExtractString(c0_element, {c0_where1_key0:String}), '^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$'), JSONExtractString(c0_element, {c0_where1_key0:String}), ''), 3, 'UTC') <= {at:DateTime64(3, 'UTC')}, false), JSONExtractArrayRaw(latest, {c0_key0:String}))
)
SELECT user_id
FROM c0

-- c0_event_type = 'order_placed'
-- c0_key0 = 'items'
-- c0_where0_key0 = 'sku'
-- c0_where0_value = 'apple'
-- c0_where1_key0 = 'ripe_on'
-- c0_where1_value_ms = 172800000
